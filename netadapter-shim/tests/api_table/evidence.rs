//! What a test shows: the sources it compiles and runs, and how they use a name. Comments and
//! texts do not count, nor does a file that no test builds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A function of Rust source: its name and its body.
struct Function {
    name: String,
    is_test: bool,
    body: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `surface::offloads::name` is in tests/surface/offloads.rs of this crate, which main.rs names;
/// `inlines::name` in tests/inlines.rs, or that of the command's own crate.
fn file_of(test: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = test.split("::").collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    if let [target, module, _] = parts[..] {
        let main = fs::read_to_string(here.join(target).join("main.rs")).ok()?;
        let built = main.lines().any(|line| line == format!("mod {module};"));
        return built.then(|| here.join(target).join(format!("{module}.rs")));
    }
    let [target, _] = parts[..] else { return None };
    let name = format!("{target}.rs");
    let places = [
        here.join(&name),
        here.join(target).join("main.rs"),
        repository().join("tests").join(&name),
    ];
    places.into_iter().find(|place| place.exists())
}

/// The functions of a file, cut at what begins a line.
fn functions(text: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut is_test = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        is_test |= line == "#[test]";
        let plain = line.trim_start_matches("pub(crate) ");
        let Some(rest) = plain.strip_prefix("fn ") else {
            continue;
        };
        let mut body = String::from(line);
        for line in lines.by_ref().take_while(|line| *line != "}") {
            body.push('\n');
            body.push_str(line.split("//").next().unwrap_or_default());
        }
        let name = super::headers::word(rest).to_owned();
        found.push(Function {
            name,
            is_test,
            body,
        });
        is_test = false;
    }
    found
}

/// Texts of a piece of Rust that name C sources.
fn sources_named(text: &str) -> impl Iterator<Item = String> + '_ {
    let literals = text.split('"').skip(1).step_by(2);
    literals
        .filter(|text| text.ends_with(".c") || text.ends_with(".cpp"))
        .map(str::to_owned)
}

/// Constants that name C sources.
fn constants(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("const "));
    lines
        .filter_map(|line| {
            Some((
                super::headers::word(line).to_owned(),
                sources_named(line).next()?,
            ))
        })
        .collect()
}

/// One test of Rust, looked at.
pub(crate) struct Test {
    pub(crate) asserts: bool,
    /// C sources that it compiles and runs, with their text without comments and texts.
    pub(crate) sources: Vec<(PathBuf, String)>,
}

impl Test {
    /// The source in which the test's clients use a name as what it is. A callback may be declared
    /// in one and given away in another that includes it.
    pub(crate) fn shows(&self, name: &str, kind: &str) -> Option<&Path> {
        let whole: String = self.sources.iter().map(|(_, code)| code.as_str()).collect();
        let used = |code: &str| match kind {
            "callback" => uses(code, name) && shows(&whole, name, kind),
            _ => shows(code, name, kind),
        };
        let found = self.sources.iter().find(|(_, code)| used(code));
        found.map(|(path, _)| path.as_path())
    }
}

/// Looks at a test; `None` if there is none of that name in a file that is built.
pub(crate) fn test(test: &str) -> Option<Test> {
    let text = fs::read_to_string(file_of(test)?).ok()?;
    let functions = functions(&text);
    let name = test.rsplit("::").next()?;
    functions
        .iter()
        .find(|function| function.is_test && function.name == name)?;
    let constants = constants(&text);
    let mut reached = BTreeSet::from([name]);
    let mut named = BTreeSet::new();
    let mut asserts = false;
    let mut waiting = vec![name];
    while let Some(at) = waiting.pop() {
        let Some(function) = functions.iter().find(|function| function.name == at) else {
            continue;
        };
        asserts |= function.body.contains("assert");
        named.extend(sources_named(&function.body));
        let used = |name: &str| uses(&function.body, name);
        named.extend(
            constants
                .iter()
                .filter(|(name, _)| used(name))
                .map(|(_, source)| source.clone()),
        );
        let called = functions
            .iter()
            .map(|other| other.name.as_str())
            .filter(|other| used(other));
        waiting.extend(
            called
                .filter(|other| reached.insert(other))
                .collect::<Vec<_>>(),
        );
    }
    let sources = named
        .iter()
        .filter_map(|name| find(name))
        .flat_map(with_includes);
    Some(Test {
        asserts,
        sources: sources.collect(),
    })
}

/// A C source by the name that a test gives it.
fn find(name: &str) -> Option<PathBuf> {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [
        crate_root.join("tests/surface/clients"),
        crate_root.to_owned(),
        repository(),
    ];
    places
        .map(|place| place.join(name))
        .into_iter()
        .find(|place| place.exists())
}

/// A source and the headers beside it that it includes.
fn with_includes(source: PathBuf) -> Vec<(PathBuf, String)> {
    let text = fs::read_to_string(&source).unwrap();
    let includes = text
        .lines()
        .filter_map(|line| line.strip_prefix("#include \"")?.strip_suffix('"'));
    let beside: Vec<PathBuf> = includes
        .map(|name| source.with_file_name(name))
        .filter(|file| file.exists())
        .collect();
    let mut all = vec![(source, code(&text))];
    all.extend(beside.into_iter().flat_map(with_includes));
    all
}

/// C without comments and without the inside of texts.
pub(crate) fn code(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            left.push_str("\"\"");
            literal(rest)
        } else {
            left.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[skipped..];
    }
    left
}

/// How long the text at the start is, with both quotes.
fn literal(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Where a name stands alone; the texts behind it.
fn places<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let alone = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(name).filter_map(move |(at, _)| {
        let behind = &text[at + name.len()..];
        (alone(text[..at].chars().next_back()) && alone(behind.chars().next())).then_some(behind)
    })
}

/// Whether a name is used at all.
pub(crate) fn uses(text: &str, name: &str) -> bool {
    places(text, name).next().is_some()
}

/// Whether code uses a name as what it is.
pub(crate) fn shows(code: &str, name: &str, kind: &str) -> bool {
    match kind {
        "function" | "inline" | "macro" => called(code, name),
        "callback" => given(code, name),
        _ => uses(code, name),
    }
}

/// A call; macros without arguments are only named, and SIZED(x) calls x_INIT.
fn called(code: &str, name: &str) -> bool {
    let directly = places(code, name).any(|behind| behind.starts_with('('));
    let constant = name.contains("_VERSION") && uses(code, name);
    let by_macro = name
        .strip_suffix("_INIT")
        .is_some_and(|structure| code.contains(&format!("SIZED({structure})")));
    directly || constant || by_macro
}

/// A function of the client's is declared as this callback, defined, and given away.
fn given(code: &str, name: &str) -> bool {
    places(code, name).any(|behind| {
        let function = super::headers::word(behind.trim_start());
        let defined = |place: &str| {
            let parameters = place
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(')'));
            parameters.is_some_and(|(_, rest)| rest.trim_start().starts_with('{'))
        };
        // The declaration itself ends like an assignment does.
        let handed_on = places(code, function).filter(|place| place.starts_with([',', ')', ';']));
        !function.is_empty() && places(code, function).any(defined) && handed_on.count() > 1
    })
}

#[test]
fn comments_and_texts_are_no_use() {
    let text =
        code("a(); /* NetRingOne() */ b(\"NetRingTwo()\"); // NetRingThree()\nNetRingFour();");
    assert_eq!(text, "a();  b(\"\"); \nNetRingFour();");
    assert!(shows(&text, "NetRingFour", "function"));
    assert!(!shows(
        "x = NetAdapterStarted();",
        "NetAdapterStart",
        "function"
    ));
    assert!(!shows(
        "f = NetAdapterStart;",
        "NetAdapterStart",
        "function"
    ));
}

#[test]
fn a_callback_is_shown_by_a_function_that_is_given_away() {
    let given_away = "static EVT_NET_X OnX;\nstatic void OnX(int a)\n{\n}\nvoid f() { g(OnX); }";
    assert!(shows(given_away, "EVT_NET_X", "callback"));
    let only_declared = "static EVT_NET_X OnX;\nstatic void OnX(int a)\n{\n}\n";
    assert!(!shows(only_declared, "EVT_NET_X", "callback"));
}

#[test]
fn a_test_that_does_not_exist_shows_nothing() {
    assert!(test("surface::queues::there_is_no_such_test").is_none());
    assert!(test("surface::nowhere::tags_are_inserted_and_stripped_beside_the_packet").is_none());
    let known = test("surface::queues::tags_are_inserted_and_stripped_beside_the_packet").unwrap();
    assert!(known.asserts);
    assert_eq!(known.sources.len(), 3, "the client and what it includes");
}
