//! What each fuzz target does with its input.
//!
//! The bodies call the shipped code and nothing else. They are here, and not in the targets
//! themselves, because those need a nightly compiler, and what was once found is to be
//! replayed with any: `tests/corpus.rs` runs each body over its corpus.

#![allow(clippy::missing_panics_doc)] // a panic is how a body says that something is wrong

pub mod bring_up;
pub mod capabilities;
pub mod client_calls;
pub mod config_file;
pub mod config_space;
pub mod control_queue;
mod device;
pub mod frame_layout;
mod input;
pub mod offload;
pub mod ring;
pub mod state_file;
pub mod supervisor;

/// A body by the name of its target.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("bring_up", bring_up::run),
    ("capabilities", capabilities::run),
    ("client_calls", client_calls::run),
    ("config_file", config_file::run),
    ("config_space", config_space::run),
    ("control_queue", control_queue::run),
    ("frame_layout", frame_layout::run),
    ("offload", offload::run),
    ("ring", ring::run),
    ("state_file", state_file::run),
    ("supervisor", supervisor::run),
];
