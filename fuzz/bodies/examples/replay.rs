//! Runs inputs of one target, as the fuzzer left them: `replay TARGET FILE...`.

use std::fs;

use fuzz_bodies::TARGETS;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, body) = target.expect("usage: replay TARGET FILE...");
    for file in arguments {
        println!("{file}");
        body(&fs::read(&file).expect("an input"));
    }
}
