//! Compiles the client of `client_calls` as clients are compiled: against the headers, with clang.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const FLAGS: &[&str] = &[
    "-std=c++17",
    "-fms-extensions",
    "-fshort-wchar",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
    "-pthread",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
];

fn main() {
    println!("cargo:rerun-if-changed=client");
    println!("cargo:rerun-if-changed=../../netadapter-shim/include");
    let library = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("client.so");
    let compiled = Command::new("clang++")
        .args(FLAGS)
        .args(["-I", "../../netadapter-shim/include", "-o"])
        .arg(&library)
        .arg("client/client.cpp")
        .status();
    match compiled {
        Ok(status) => {
            assert!(status.success(), "client/client.cpp does not compile");
            println!("cargo:rustc-env=CLIENT_CALLS={}", library.display());
        }
        Err(error) => {
            println!("cargo:warning=no clang++ for client_calls, which is left out: {error}");
        }
    }
}
