//! What the C headers do themselves: a program in C and C++ checks their inline functions, without a
//! host, under every compiler that is there.

use std::path::Path;
use std::process::Command;

/// Builds and runs the program; what it printed, or `None` where the compiler is missing.
fn ran(compiler: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("inlines-{compiler}"));
    let built = Command::new(compiler)
        .args(arguments)
        .args(["-fms-extensions", "-fshort-wchar"])
        .args(["-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root.join("include"))
        .arg("-o")
        .arg(&program)
        .arg(root.join("tests/c/inlines.c"))
        .output();
    let Ok(built) = built else {
        println!("SKIP: {compiler} is not installed");
        return None;
    };
    let complaints = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{compiler}: {complaints}");
    let output = Command::new(program).output().expect("just built");
    let text = String::from_utf8(output.stdout).expect("text");
    Some((output.status.success(), text))
}

#[test]
fn rings_iterators_extensions_and_fillers_do_what_their_names_say() {
    let c: &[&str] = &["-std=c11"];
    let cxx: &[&str] = &["-x", "c++", "-std=c++17"];
    for (compiler, arguments) in [("clang", c), ("gcc", c), ("clang++", cxx), ("g++", cxx)] {
        if let Some((success, text)) = ran(compiler, arguments) {
            let whole = text.contains(" 0 failures") && !text.starts_with("0 checks");
            assert!(success && whole, "{compiler}: {text}");
        }
    }
}
