//! Makes a folder that a client's sources need beside the headers: the `.tmh` files that the
//! tracing preprocessor writes on Windows, and files for include names that are spelled as a
//! case-blind file system takes them, or with backslashes.

mod wpp;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The file with the macros of the sources' own trace functions.
const MACROS: &str = "umnet_wpp.h";
/// Folders deeper than this are not looked into: a loop of links.
const DEEPEST: usize = 16;

/// A source file and what it includes.
struct Source {
    path: PathBuf,
    includes: Vec<String>,
}

/// Writes into `out` what the sources under `dirs` need and returns how many files that are.
/// `include` is the folder of umnet's headers.
///
/// # Errors
/// A folder or file that cannot be read or written.
pub(crate) fn prepare(dirs: &[PathBuf], include: &Path, out: &Path) -> io::Result<usize> {
    let mut files = Vec::new();
    for dir in dirs {
        walk(dir, 0, &mut files)?;
    }
    fs::create_dir_all(out)?;
    let mut functions = Vec::new();
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| is_source(path)) {
        let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
        functions.extend(wpp::functions(&text));
        sources.push(Source {
            path: path.clone(),
            includes: included(&text),
        });
    }
    fs::write(out.join(MACROS), wpp::macros(&functions))?;
    let mut headers = files;
    walk(include, 0, &mut headers)?;
    forward(&sources, dirs, include, &headers, out)
}

fn is_source(path: &Path) -> bool {
    const KINDS: [&str; 8] = ["c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx"];
    let kind = path.extension().and_then(|kind| kind.to_str());
    kind.is_some_and(|kind| KINDS.contains(&kind.to_ascii_lowercase().as_str()))
}

fn walk(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth > DEEPEST {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

/// The names in a source's `#include` lines.
fn included(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(included_name)
        .map(str::to_owned)
        .collect()
}

fn included_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start();
    let rest = rest.strip_prefix("include")?.trim_start();
    let close = match rest.chars().next()? {
        '"' => '"',
        '<' => '>',
        _ => return None,
    };
    rest[1..].split(close).next()
}

/// Writes a file for each name that would not be found as it is spelled.
fn forward(
    sources: &[Source],
    dirs: &[PathBuf],
    include: &Path,
    headers: &[PathBuf],
    out: &Path,
) -> io::Result<usize> {
    let mut done = BTreeSet::new();
    for source in sources {
        for name in &source.includes {
            if found(name, &source.path, dirs, include) || done.contains(name) {
                continue;
            }
            let Some(target) = target(name, &source.path, headers) else {
                continue;
            };
            write(out, name, &target)?;
            done.insert(name.clone());
        }
    }
    Ok(done.len() + 1)
}

fn found(name: &str, source: &Path, dirs: &[PathBuf], include: &Path) -> bool {
    let beside = source.parent().map(|dir| dir.join(name));
    beside.is_some_and(|path| path.is_file())
        || include.join(name).is_file()
        || dirs.iter().any(|dir| dir.join(name).is_file())
}

/// What the file for `name` includes: the trace macros, or the header that is meant.
fn target(name: &str, source: &Path, headers: &[PathBuf]) -> Option<String> {
    let plain = name.replace('\\', "/").to_ascii_lowercase();
    if plain.ends_with(".tmh") {
        return Some(MACROS.to_owned());
    }
    let wanted = format!(
        "/{}",
        plain.trim_start_matches("./").trim_start_matches("../")
    );
    let near = source.parent();
    let mut fits: Vec<&PathBuf> = headers
        .iter()
        .filter(|path| {
            path.to_string_lossy()
                .to_ascii_lowercase()
                .ends_with(&wanted)
        })
        // One spelled right but elsewhere is the build's own business to find.
        .filter(|path| !path.to_string_lossy().ends_with(&format!("/{name}")))
        .collect();
    fits.sort_by_key(|path| path.parent() != near);
    let path = fits.first()?.canonicalize().ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// A backslash is a letter of the file's name here, as the compiler looks it up.
fn write(out: &Path, name: &str, target: &str) -> io::Result<()> {
    let inside = Path::new(name)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside {
        return Ok(());
    }
    let path = out.join(name);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, format!("#include \"{target}\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (sources, include, out) = (
            dir.path().join("src"),
            dir.path().join("include"),
            dir.path().join("out"),
        );
        fs::create_dir_all(&include).unwrap();
        fs::write(include.join("ntddk.h"), "").unwrap();
        for (name, text) in files {
            let path = sources.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        prepare(&[sources], &include, &out).unwrap();
        (dir, out)
    }

    #[test]
    fn trace_headers_are_made_for_every_source_that_includes_one() {
        let (_dir, out) = prepared(&[
            ("a.c", "#include \"a.tmh\"\n"),
            ("b.c", "# include <sub/b.tmh>\n"),
        ]);
        for name in ["a.tmh", "sub/b.tmh"] {
            assert!(
                fs::read_to_string(out.join(name)).unwrap().contains(MACROS),
                "{name}"
            );
        }
    }

    #[test]
    fn names_in_another_case_or_with_backslashes_lead_to_the_file_that_is_meant() {
        let (_dir, out) = prepared(&[
            (
                "a.c",
                "#include <NTDDK.H>\n#include \"rtl\\Lock.h\"\n#include \"own.h\"\n",
            ),
            ("rtl/lock.h", ""),
            ("own.h", ""),
        ]);
        assert!(
            fs::read_to_string(out.join("NTDDK.H"))
                .unwrap()
                .contains("ntddk.h")
        );
        assert!(
            fs::read_to_string(out.join("rtl\\Lock.h"))
                .unwrap()
                .contains("rtl/lock.h")
        );
        assert!(
            !out.join("own.h").exists(),
            "what is spelled right needs nothing"
        );
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_not_written() {
        let (dir, _out) = prepared(&[("a.c", "#include \"../../x.tmh\"\n")]);
        assert!(!dir.path().join("x.tmh").exists());
    }
}
