//! What the headers declare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where names of the interface are declared.
const PLACES: [&str; 3] = ["include/umnet", "include/net", "include/netadaptercx.h"];

fn headers() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = Vec::new();
    for place in PLACES.map(|place| root.join(place)) {
        match place.is_dir() {
            true => files.extend(
                fs::read_dir(place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            ),
            false => files.push(place),
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// The identifier at the start of `text`.
pub(crate) fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    &text[..end]
}

/// What one line of a header declares: a name of the interface and its kind.
fn declared(line: &str) -> Option<(&str, &'static str)> {
    let line = line.trim_start();
    if let Some(rest) = line.strip_prefix("X(") {
        let name = word(rest.split_once(", ")?.1);
        return name.starts_with("Net").then_some((name, "function"));
    }
    if let Some(rest) = line.strip_prefix("#define NET_") {
        let name = &line["#define ".len()..][..word(rest).len() + 4];
        let takes_arguments = line["#define ".len() + name.len()..].starts_with('(');
        return takes_arguments.then_some((name, "macro"));
    }
    for (prefix, kind) in [
        ("typedef struct _", "structure"),
        ("typedef union _", "structure"),
        ("typedef enum _", "enumeration"),
    ] {
        if let Some(rest) = line.strip_prefix(prefix) {
            let name = word(rest);
            return name.starts_with("NET_").then_some((name, kind));
        }
    }
    if let Some(at) = line.strip_prefix("typedef ").and(line.find(" EVT_")) {
        let name = word(&line[at + 1..]);
        let ours = name.starts_with("EVT_NET_") || name.starts_with("EVT_PACKET_");
        return (ours && line.contains('(')).then_some((name, "callback"));
    }
    let rest = line.strip_prefix("UMNET_INLINE ")?;
    let name = word(rest[..rest.find('(')?].rsplit([' ', '*']).next()?);
    // Names that a macro puts together are listed by hand, and shown by being compiled.
    let whole = name.len() > 3 && !name.ends_with('_') && !rest.contains("##");
    (whole && (name.starts_with("Net") || name.starts_with("NET_"))).then_some((name, "inline"))
}

/// Every name with its kind.
pub(crate) fn names() -> BTreeMap<String, &'static str> {
    let mut names = BTreeMap::new();
    for text in headers() {
        for (name, kind) in text.lines().filter_map(declared) {
            names.insert(name.to_owned(), kind);
        }
    }
    names
}

/// The values of each enumeration of the interface.
pub(crate) fn enumerators() -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for text in headers() {
        for declaration in text.split("typedef enum _").skip(1) {
            let name = word(declaration).to_owned();
            let body = declaration
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            let Some((body, _)) = body.filter(|_| name.starts_with("NET_")) else {
                continue;
            };
            let values = body
                .split(',')
                .map(|value| word(value.trim_start()).to_owned());
            all.insert(name, values.filter(|value| !value.is_empty()).collect());
        }
    }
    all
}

#[test]
fn declarations_are_recognised_by_their_lines() {
    assert_eq!(
        declared("    X(VOID, NetAdapterStop, (A), (A)) \\"),
        Some(("NetAdapterStop", "function"))
    );
    assert_eq!(
        declared("typedef enum _NET_RING_TYPE {"),
        Some(("NET_RING_TYPE", "enumeration"))
    );
    assert_eq!(
        declared("#define NET_STRUCTURE_SIZE(name) x"),
        Some(("NET_STRUCTURE_SIZE", "macro"))
    );
    assert_eq!(declared("#define NET_RING_H"), None);
    let inline = "UMNET_INLINE void *NetRingGetElementAtIndex(NET_RING const *Ring)";
    assert_eq!(
        declared(inline),
        Some(("NetRingGetElementAtIndex", "inline"))
    );
}
