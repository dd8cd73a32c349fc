//! What the guest's command runner and the test harness on the host say to each other.

pub mod protocol;
