//! `umnet client-flags`: how to compile a client driver.

use std::path::{Path, PathBuf};

use clap::Args;
use thiserror::Error;

use super::{Failure, output};
use crate::client_sources;
use crate::exit::{Exit, Explain};

pub(super) const EXAMPLES: &str = "\
Examples:
  clang $(umnet client-flags) -o loopback.so loopback.c
  clang++ $(umnet client-flags --cxx) -o wire.so wire.cpp
  clang $(umnet client-flags --cflags) -c driver.c
  clang++ $(umnet client-flags --cxx --sources driver) -o driver.so driver/*.cpp
  clang -o driver.so driver.o other.o $(umnet client-flags --libs)";

#[derive(Debug, Args)]
pub(super) struct ClientFlagsArgs {
    /// Only what compiling takes
    #[arg(long, conflicts_with = "libs")]
    cflags: bool,
    /// Only what linking takes
    #[arg(long)]
    libs: bool,
    /// For C++ instead of C
    #[arg(long)]
    cxx: bool,
    /// For g++, which lacks some of the dialect, instead of clang++
    #[arg(long, requires = "cxx")]
    gcc: bool,
    /// Folder of the headers, instead of the one that belongs to this umnet
    #[arg(long, value_name = "DIR")]
    include: Option<PathBuf>,
    /// Folder of sources: makes what they need of trace headers (.tmh) and include spellings
    #[arg(long, value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// Where to put that
    #[arg(long, value_name = "DIR", default_value = "umnet-include")]
    out: PathBuf,
}

/// The header that shows that a folder is the right one.
const HEADER: &str = "netadaptercx.h";
/// Where headers are, seen from a folder above the program: installed, and in the source tree.
const PLACES: [&str; 2] = ["include/umnet", "netadapter-shim/include"];
/// The dialect Windows drivers are written in.
const DIALECT: &str = "-fms-extensions -fshort-wchar -fPIC";
/// C takes a function that no header declares otherwise, and it is missing at load time only.
const C11: &str = "-std=c11 -Werror=implicit-function-declaration";
const CXX17: &str = "-std=c++17";
/// What Microsoft's compiler lets pass in C++, such as a goto over an initialisation. The header
/// gives back what clang leaves out then.
const PERMISSIVE: &str = "-fms-compatibility -fms-compatibility-version=19.30 \
     -fno-delayed-template-parsing -include umnet/permissive.h";

/// Where the headers were looked for.
#[derive(Debug, Error)]
enum FlagsError {
    #[error("{} has no {HEADER}", .0.display())]
    NoHeader(PathBuf),
    #[error("the headers are not beside this umnet ({})", .0.display())]
    NotFound(PathBuf),
    #[error("cannot prepare the sources' includes in {}: {reason}", .folder.display())]
    Sources {
        folder: PathBuf,
        reason: std::io::Error,
    },
}

impl Explain for FlagsError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoHeader(_) | Self::Sources { .. } => Exit::Usage,
            Self::NotFound(_) => Exit::EnvironmentLacks,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some("umnet client-flags --include DIR, the folder netadapter-shim/include of umnet's source".to_owned())
    }
}

pub(super) fn client_flags(args: &ClientFlagsArgs) -> Result<Exit, Failure> {
    let include = match &args.include {
        Some(given) => checked(given)?,
        None => beside(&std::env::current_exe().unwrap_or_default())?,
    };
    let made = made_includes(args, &include)?;
    output::text(&flags(args, &include, made.as_deref()))?;
    Ok(Exit::Done)
}

/// The folder made for `--sources`, if there are any.
fn made_includes(args: &ClientFlagsArgs, include: &Path) -> Result<Option<PathBuf>, FlagsError> {
    if args.sources.is_empty() || args.libs {
        return Ok(None);
    }
    let failed = |reason| FlagsError::Sources {
        folder: args.out.clone(),
        reason,
    };
    client_sources::prepare(&args.sources, include, &args.out).map_err(failed)?;
    args.out.canonicalize().map(Some).map_err(failed)
}

fn flags(args: &ClientFlagsArgs, include: &Path, made: Option<&Path>) -> String {
    let standard = match (args.cxx, args.gcc) {
        (false, _) => C11.to_owned(),
        (true, true) => CXX17.to_owned(),
        (true, false) => format!("{CXX17} {PERMISSIVE}"),
    };
    let made = made.map_or(String::new(), |dir| format!(" -I{}", dir.display()));
    let compile = format!("{standard} {DIALECT} -I{}{made}", include.display());
    match (args.cflags, args.libs) {
        (true, _) => format!("{compile}\n"),
        (_, true) => "-shared\n".to_owned(),
        _ => format!("{compile} -shared\n"),
    }
}

fn checked(include: &Path) -> Result<PathBuf, FlagsError> {
    let whole = include.canonicalize().ok();
    whole
        .filter(|path| path.join(HEADER).is_file())
        .ok_or_else(|| FlagsError::NoHeader(include.to_owned()))
}

fn beside(program: &Path) -> Result<PathBuf, FlagsError> {
    let above = program.ancestors().skip(1);
    let mut places = above.flat_map(|folder| PLACES.map(|place| folder.join(place)));
    places
        .find_map(|place| checked(&place).ok())
        .ok_or_else(|| FlagsError::NotFound(program.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_beside_the_program_in_any_layout() {
        for layout in PLACES {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().canonicalize().unwrap();
            let include = root.join(layout);
            std::fs::create_dir_all(&include).unwrap();
            let program = root.join("target/release/umnet");
            assert!(beside(&program).is_err(), "{layout}: no header yet");
            std::fs::write(include.join(HEADER), "").unwrap();
            assert_eq!(beside(&program).unwrap(), include);
        }
    }

    #[test]
    fn parts_can_be_asked_for_alone() {
        let args = |cflags, libs, cxx| ClientFlagsArgs {
            cflags,
            libs,
            cxx,
            gcc: false,
            include: None,
            sources: Vec::new(),
            out: PathBuf::new(),
        };
        let flags = |args| flags(&args, Path::new("/i"), None);
        let c = format!("{C11} -fms-extensions -fshort-wchar -fPIC -I/i");
        assert_eq!(flags(args(true, false, false)), format!("{c}\n"));
        assert_eq!(flags(args(false, false, false)), format!("{c} -shared\n"));
        assert_eq!(flags(args(false, true, false)), "-shared\n");
        assert!(flags(args(false, false, true)).starts_with("-std=c++17 -fms-compatibility "));
        let mut for_gcc = args(true, false, true);
        for_gcc.gcc = true;
        assert_eq!(
            flags(for_gcc),
            "-std=c++17 -fms-extensions -fshort-wchar -fPIC -I/i\n"
        );
    }
}
