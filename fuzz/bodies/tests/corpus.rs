//! Every input that a fuzz target once found worth keeping, run again with the stable compiler.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz_bodies::TARGETS;

fn corpus_of(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let entries = fs::read_dir(folder.join(target)).unwrap_or_else(|e| panic!("{target}: {e}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_input_that_was_kept_finds_anything() {
    for (name, body) in TARGETS {
        let inputs = corpus_of(name);
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for input in &inputs {
            println!("{}", input.display());
            body(&fs::read(input).unwrap());
        }
    }
}

#[test]
fn every_target_of_the_fuzzer_is_one_of_these_bodies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned())
        .collect();
    files.sort();
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(files, names);
}
