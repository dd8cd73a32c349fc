//! Which source tree was measured.

use std::path::Path;
use std::process::Command;

/// The commit of the source tree at `folder`, with `-dirty` when files of it were changed;
/// `unknown` outside of one.
pub fn revision(folder: &Path) -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(words)
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit}-dirty"),
    }
}
