//! What the guest and the test harness on the host share: how they talk, and how they make traffic.

pub mod protocol;
pub mod traffic;
