//! The result as files.

use std::fs;
use std::path::Path;

use super::Report;
use crate::{Error, Result};

impl Report {
    /// Writes the result as JSON to `json`, and as a picture beside it, with the extension `.svg`.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be written; what was there before is then still there.
    pub fn write(&self, json: &Path) -> Result<()> {
        let text = self
            .to_json()
            .map_err(|error| Error::Command(format!("writing JSON: {error}")))?;
        write(json, &(text + "\n"))?;
        write(&json.with_extension("svg"), &self.to_svg())
    }
}

/// Writes a file whole or not at all: an interrupted run leaves the earlier result.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&aside, text))
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|source| Error::Io {
            what: format!("writing {}", path.display()),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_written_whole_into_new_folders() {
        let folder = std::env::temp_dir().join(format!("umnet-bench-{}", std::process::id()));
        let path = folder.join("deep/run.json");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing aside is left"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
