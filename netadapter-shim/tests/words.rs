//! The headers' words that need no host: a program in C, and the same as C++,
//! checks what they mean. Headers for what is not offered say so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a compiler over `source`; `None` if it is not there.
fn compile(compiler: &[&str], source: &Path, program: &Path) -> Option<Output> {
    let output = Command::new(compiler[0])
        .args(&compiler[1..])
        .args(["-fms-extensions", "-fshort-wchar", "-Wall", "-Werror"])
        .arg("-I")
        .arg(root().join("include"))
        .arg("-o")
        .arg(program)
        .arg(source)
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            println!("SKIP: no {}: {error}", compiler[0]);
            None
        }
    }
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn the_kernels_words_mean_what_they_mean_there() {
    let source = root().join("tests/c/words.c");
    let compilers: [&[&str]; 3] = [
        &["clang", "-std=c11"],
        &["clang++", "-xc++", "-std=c++17"],
        &["gcc", "-std=c11", "-O1"],
    ];
    for (index, compiler) in compilers.iter().enumerate() {
        let program = place(&format!("words{index}"));
        let Some(built) = compile(compiler, &source, &program) else {
            continue;
        };
        let complaints = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{compiler:?}: {complaints}");
        let run = Command::new(program).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{compiler:?}: {said}");
    }
}

#[test]
fn what_is_outside_says_so_where_it_is_included() {
    let outside = [
        ("wsk.h", "Winsock Kernel"),
        ("wdfusb.h", "USB"),
        ("usb.h", "USB"),
        ("ndis.h", "NDIS"),
        ("bcrypt.h", "cryptography (CNG)"),
        ("mbbcx.h", "mobile broadband"),
        ("wificx.h", "Wi-Fi"),
    ];
    for (header, what) in outside {
        let source = place(&format!("outside-{header}.c"));
        std::fs::write(&source, format!("#include <{header}>\n")).unwrap();
        let Some(built) = compile(&["clang", "-std=c11"], &source, &place("outside")) else {
            return;
        };
        let complaints = String::from_utf8_lossy(&built.stderr);
        let expected = format!("{header}: {what} is outside what umnet offers");
        assert!(complaints.contains(&expected), "{header}: {complaints}");
        assert!(!built.status.success());
    }
}
