//! The page docs/verifier.md: every failure code with what breaks it and the tests that make it
//! fire, and what stands for a broken rule where there is no code. UPDATE_VERIFIER_TABLE=1 writes
//! the page; without it the test compares.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use netadapter_shim::abi::FailureCode;
use support::faults::{Fault, all};
use support::rules::{LOADING, RULES};

const PAGE: &str = "docs/verifier.md";
/// Reasons and descriptions, and the checks that were taken out to see their tests fail.
const CHECKS: &str = "netadapter-shim/api/verifier.txt";
const PROOFS: &str = "netadapter-shim/api/verifier-proofs.txt";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One line of the list of checks.
struct Check {
    raised: bool,
    section: String,
    words: String,
}

fn checks() -> BTreeMap<String, Check> {
    let text = read(CHECKS);
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let check = |line: &str| {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let mut next = || words.next().expect("four columns");
        let (state, code, section, words) = (next(), next(), next(), next());
        let raised = state == "raised";
        (
            code,
            Check {
                raised,
                section,
                words,
            },
        )
    };
    lines.map(check).collect()
}

/// Codes whose check was taken out, each with the tests that then failed.
fn proofs() -> BTreeMap<String, String> {
    let text = read(PROOFS);
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let proof = |line: &str| {
        let (code, words) = line.split_once(' ').expect("two columns");
        (code.to_owned(), words.to_owned())
    };
    lines.map(proof).collect()
}

/// Unit tests by the codes they name.
fn unit_tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut tests = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("netadapter-shim")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                note_tests(&path, &mut tests);
            }
        }
    }
    tests
}

/// Adds the codes that the tests of one file name.
fn note_tests(path: &PathBuf, tests: &mut BTreeMap<String, BTreeSet<String>>) {
    let text = fs::read_to_string(path).unwrap();
    let (mut test, mut marked) = (String::new(), false);
    for line in text.lines() {
        let line = line.trim_start();
        if let Some((before, rest)) = line.split_once("fn ")
            && !before.contains(['(', '"', '/'])
        {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            test = if marked {
                name.to_owned()
            } else {
                String::new()
            };
        }
        marked = line == "#[test]" || (marked && line.starts_with("#["));
        for piece in line.split("Code::").skip(1) {
            let code = piece.split(|c: char| !c.is_ascii_alphanumeric()).next();
            if let Some(code) = code.filter(|_| !test.is_empty()) {
                tests
                    .entry(code.to_owned())
                    .or_default()
                    .insert(test.clone());
            }
        }
    }
}

fn code_rows(page: &mut String) {
    let (checks, proofs, tests, faults) = (checks(), proofs(), unit_tests(), all());
    let names: Vec<String> = FailureCode::ALL.iter().map(ToString::to_string).collect();
    for name in checks.keys().chain(proofs.keys()) {
        assert!(names.contains(name), "{name} is no code");
    }
    for name in &names {
        let check = checks.get(name);
        let check = check.unwrap_or_else(|| panic!("{CHECKS} has no line for {name}"));
        let made_by: Vec<_> = faults.iter().filter(|fault| is_of(fault, name)).collect();
        let units = tests.get(name).cloned().unwrap_or_default();
        if !check.raised {
            assert!(
                made_by.is_empty() && !proofs.contains_key(name),
                "{name} is raised"
            );
            let (section, words) = (&check.section, &check.words);
            writeln!(page, "| `{name}` | {section} | cannot occur: {words} | | |").unwrap();
            continue;
        }
        // A hosted client cannot delete a queue, so that its entry can only be shown in a unit test.
        let unit_only = name == "ShimScalingDeadQueue";
        assert!(
            unit_only || !made_by.is_empty(),
            "no hosted fault raises {name}"
        );
        assert!(!unit_only || !units.is_empty(), "no unit test names {name}");
        let mut shown: Vec<String> = made_by.iter().map(|f| format!("`{}`", f.name)).collect();
        shown.extend(units.iter().take(2).map(|unit| format!("*{unit}*")));
        let proof = proofs.get(name).map_or("no", String::as_str);
        let (section, words) = (&check.section, &check.words);
        let shown = shown.join(", ");
        writeln!(
            page,
            "| `{name}` | {section} | {words} | {shown} | {proof} |"
        )
        .unwrap();
    }
}

fn is_of(fault: &Fault, code: &str) -> bool {
    fault.name.split('/').next() == Some(code)
}

fn rule_rows(page: &mut String) {
    let faults = all();
    for (rule, step, status) in RULES {
        let fault = faults.iter().find(|fault| fault.name == rule);
        let fault = fault.unwrap_or_else(|| panic!("{rule} is no fault"));
        let on = match fault.has_a_code() {
            true => format!("`{}`, exit code 134", fault.code()),
            false => "as off".to_owned(),
        };
        writeln!(
            page,
            "| `{rule}` | {on} | {step}: `{status}`, exit code 1 |"
        )
        .unwrap();
    }
}

fn loading_rows(page: &mut String) {
    for (what, _, words, status) in LOADING {
        let status = match status {
            "" => String::new(),
            status => format!(", `{status}`"),
        };
        writeln!(page, "| {what} | \"{words}\"{status} |").unwrap();
    }
}

/// What stands above the tables.
const HEAD: &str = "\
# What the verifier checks

Generated by `tests/verifier_table.rs` (UPDATE_VERIFIER_TABLE=1) from `FailureCode`,
`netadapter-shim/api/verifier*.txt`, the lists of faults in `netadapter-shim/examples/faulty` and
the tests.

`umnet run --client FILE.so` holds the client to these rules. A broken one ends the client host, and
nothing else: one line names the code, the call or the adapter, queue and index, and what was
expected. The next host takes the interfaces over, unless the rule was broken before the client's
devices ran for the first time, while they were taken down, or once too often with the fallback
\"kernel\": then the run ends too, its exit code is 134 (SIGABRT), and the interfaces are gone. Two
codes only warn, because a sound client may come near them; they say so below. With `--verifier off` a rule is told of once,
and the call answers with a status.

Sections are those of the interface: 5.1 checks of calls, 5.2 checks of the rings around Advance
and Cancel, 5.3 what this framework adds (codes that begin with Shim). Where the published sources
of the class extension and its documentation disagree the sources count, with one exception: the
sources exchange `InvalidRingModifiedRxFragment` and `InvalidRingUnmodifiedRxFragment`; here each
says what its name says. Around every Cancel, and every second Advance from the first on, the IRQL
is DISPATCH_LEVEL, as under Driver Verifier.

## Codes

*Shown by* names faults of the hosted C client (each is run by
`every_fault_ends_its_host_with_one_line_that_names_it` in `tests/faulty_client.rs`, which checks
line, exit code, interfaces and files) and unit tests. *Taken out* says what failed when the check
was disabled. That was done by hand in five groups of checks, 142 faults in all: each time the
hosted test complained of exactly the faults of the group, and of no other.

| code | section | what breaks it | shown by | taken out |
|---|---|---|---|---|
";

const RULES_HEAD: &str = "
## With and without the verifier

What a client states wrongly, or leaves out, before its adapter starts. `tests/verifier_off.rs`
(`a_wrong_statement_is_a_status_and_nothing_crashes_the_host`) hosts every fault with
`--verifier off`; those that are not in this table must let the run go on and end with exit code 0.

| fault | verifier on | verifier off |
|---|---|---|
";

const LOADING_HEAD: &str = "
## Libraries that are not loaded

Refused before anything of the client runs, whether the verifier is on or off, in one line
(`a_library_that_does_not_bind_is_refused_in_one_line`; files that are no libraries at all are in
`tests/clients.rs`, `what_is_no_client_is_refused_in_one_line`).

| what | the line says |
|---|---|
";

#[test]
fn the_page_is_what_the_codes_faults_and_tests_say() {
    let mut page = HEAD.to_owned();
    code_rows(&mut page);
    page.push_str(RULES_HEAD);
    rule_rows(&mut page);
    page.push_str(LOADING_HEAD);
    loading_rows(&mut page);
    if std::env::var_os("UPDATE_VERIFIER_TABLE").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), &page).unwrap();
    }
    let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE));
    assert!(
        kept.is_ok_and(|kept| kept == page),
        "UPDATE_VERIFIER_TABLE=1 cargo test --test verifier_table"
    );
}
