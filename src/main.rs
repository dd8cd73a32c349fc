//! The `umnet` command.

fn main() {}
