//! The table of the interface in docs/netadaptercx-api.md: every function, structure, callback
//! and inline function that the headers declare, whether it works, and which test or hosted
//! example uses it. UPDATE_API_TABLE=1 writes the table; without it the test compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Where names are declared.
const HEADERS: [&str; 2] = ["include/umnet", "include/net"];
/// Where use of a name shows that it works.
const EVIDENCE: [&str; 4] = ["src/door", "tests", "examples", "../tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, list: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, list);
        } else if path
            .extension()
            .is_some_and(|kind| ["h", "rs", "c", "cpp"].iter().any(|k| kind == *k))
        {
            list.push(path);
        }
    }
}

fn texts(dirs: &[&str]) -> Vec<(PathBuf, String)> {
    let mut list = Vec::new();
    dirs.iter()
        .for_each(|dir| files(&root().join(dir), &mut list));
    list.into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The identifier at the start of `text`.
fn word(text: &str) -> &str {
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
    if let Some(rest) = line
        .strip_prefix("typedef struct _")
        .or_else(|| line.strip_prefix("typedef enum _"))
    {
        return word(rest).starts_with("NET_").then(|| {
            (
                word(rest),
                if line.contains("struct") {
                    "structure"
                } else {
                    "enumeration"
                },
            )
        });
    }
    if let Some(at) = line.strip_prefix("typedef ").and(line.find(" EVT_")) {
        let name = word(&line[at + 1..]);
        let ours = name.starts_with("EVT_NET_") || name.starts_with("EVT_PACKET_");
        return (ours && line.contains('(')).then_some((name, "callback"));
    }
    let rest = line.strip_prefix("UMNET_INLINE ")?;
    let name = word(rest[..rest.find('(')?].rsplit([' ', '*']).next()?);
    // Names that a macro puts together are counted where they are used.
    let whole = name.len() > 3 && !name.ends_with('_') && !rest.contains("##");
    (whole && (name.starts_with("Net") || name.starts_with("NET_"))).then_some((name, "inline"))
}

fn names() -> BTreeMap<String, &'static str> {
    let mut names = BTreeMap::new();
    for (_, text) in texts(&HEADERS) {
        for (name, kind) in text.lines().filter_map(declared) {
            names.insert(name.to_owned(), kind);
        }
    }
    names
}

/// State and reason of what does not simply work.
fn exceptions() -> BTreeMap<String, (String, String)> {
    let text = fs::read_to_string(root().join("api/exceptions.txt")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let (state, name) = (words.next().unwrap(), words.next().unwrap());
            (
                name.to_owned(),
                (state.to_owned(), words.next().unwrap().to_owned()),
            )
        })
        .collect()
}

fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let alone = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        alone(text[..at].chars().next_back()) && alone(text[at + name.len()..].chars().next())
    })
}

/// Text of a file in which a mention is use: all of a client or a test, a module's test half.
fn evidence(path: &Path, text: &str) -> Option<String> {
    let name = path.to_string_lossy();
    if name.ends_with("api_table.rs")
        || name.ends_with("layout.c")
        || name.ends_with("abi_layout.rs")
    {
        return None;
    }
    let is_test = !name.contains("/src/") || name.contains("test");
    let half = || text.find("#[cfg(test)]").map(|at| text[at..].to_owned());
    if is_test {
        Some(text.to_owned())
    } else {
        half()
    }
}

fn shown(name: &str, kind: &str, texts: &[(PathBuf, String)]) -> Vec<String> {
    // A layout that agrees shows a structure, not that a function works.
    let is_data = kind == "structure" || kind == "enumeration";
    let counts = |path: &Path| is_data || !path.to_string_lossy().contains("layout");
    let using = texts
        .iter()
        .filter(|(path, text)| counts(path) && mentions(text, name));
    let mut places: Vec<String> = using
        .map(|(path, _)| {
            let path = path.to_string_lossy().replace("/../", "/");
            let base = root().parent().unwrap().to_string_lossy().into_owned();
            path.replace("netadapter-shim/tests/../../", "")
                .trim_start_matches(base.as_str())
                .trim_start_matches('/')
                .replace("netadapter-shim/tests/clients", "tests/clients")
        })
        .collect();
    places.truncate(2);
    places
}

fn table() -> (String, Vec<String>) {
    let sources: Vec<(PathBuf, String)> = texts(&EVIDENCE)
        .into_iter()
        .filter_map(|(path, text)| evidence(&path, &text).map(|half| (path, half)))
        .collect();
    let exceptions = exceptions();
    let mut all = names();
    for name in exceptions.keys() {
        all.entry(name.clone()).or_insert("function");
    }
    let mut text = String::from(
        "# The interface, name by name\n\nGenerated by `netadapter-shim/tests/api_table.rs` (UPDATE_API_TABLE=1) from the headers, \
         `netadapter-shim/api/exceptions.txt` and the tests. *works*: used by a test or a hosted example, which is named; \
         *not shown*: offered, and no test uses it yet; *refused*: declared, and turned away with the code named; \
         *beyond*: declared, and says that it is outside the user-mode surface; *absent*: not declared.\n\n\
         | name | kind | state | shown by, or why not |\n|---|---|---|---|\n",
    );
    let mut unshown = Vec::new();
    for (name, kind) in &all {
        let (state, why) = match exceptions.get(name) {
            Some((state, why)) => (state.as_str(), why.clone()),
            None => {
                let places = shown(name, kind, &sources);
                if places.is_empty() {
                    unshown.push(name.clone());
                    ("not shown", String::new())
                } else {
                    ("works", places.join(", "))
                }
            }
        };
        writeln!(text, "| `{name}` | {kind} | {state} | {why} |").unwrap();
    }
    (text, unshown)
}

#[test]
fn the_table_of_the_interface_is_what_the_headers_and_tests_say() {
    let path = root().join("../docs/netadaptercx-api.md");
    let (table, unshown) = table();
    println!("not shown: {unshown:?}");
    if std::env::var_os("UPDATE_API_TABLE").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, table,
        "UPDATE_API_TABLE=1 cargo test -p netadapter-shim --test api_table"
    );
}

#[test]
fn absent_names_are_not_declared_and_refused_ones_are() {
    let names = names();
    for (name, (state, _)) in exceptions() {
        assert_eq!(
            names.contains_key(&name),
            state != "absent",
            "{state} {name}"
        );
    }
}

#[test]
fn a_mention_is_a_whole_word() {
    assert!(mentions("x = NetAdapterStart(a)", "NetAdapterStart"));
    assert!(!mentions("NetAdapterStarted()", "NetAdapterStart"));
}
