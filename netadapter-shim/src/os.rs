//! System ports: the network stack's seat.
