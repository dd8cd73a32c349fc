//! The configuration file: a text is understood, or refused with a reason.

use std::path::Path;

use umnet::config::ConfigFile;

/// Runs one input, a text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match ConfigFile::parse(Path::new("umnet.toml"), text) {
        Ok(file) => drop(file.client("any")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
