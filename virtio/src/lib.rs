//! Driver side of virtio-net: rings, initialisation and transports.
