//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod clients;
pub(crate) mod driven;
pub(crate) mod faults;
pub(crate) mod machine;
pub(crate) mod namespace;
pub(crate) mod rig;
pub(crate) mod rules;
pub(crate) mod service_manager;
pub(crate) mod streams;
pub(crate) mod wire;
