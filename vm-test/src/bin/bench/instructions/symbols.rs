//! Which function a block of code belongs to.

use std::path::Path;

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use vm_test::{Error, Guest, Result};

use super::table::Block;

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Kernel,
    Umnet,
    /// The traffic's own program.
    Traffic,
    Other,
}

/// The programs whose functions are told apart: how the guest calls them, and which they are.
const PROGRAMS: [(&str, Program); 2] = [
    ("umnet", Program::Umnet),
    ("guest-runner", Program::Traffic),
];

/// The functions of everything that matters in a guest.
pub(crate) struct Symbols {
    kernel: Functions,
    programs: Vec<Loaded>,
}

impl Symbols {
    /// Those of the guest's kernel and of the programs that run in it now.
    pub(crate) fn of(guest: &Guest) -> Result<Self> {
        let kallsyms = guest.run("cat /proc/kallsyms")?.into_stdout()?;
        let kernel = Functions::sorted(kallsyms.lines().filter_map(kernel_symbol).collect());
        let programs = PROGRAMS.map(|(name, program)| Loaded::of(guest, name, program));
        Ok(Self {
            kernel,
            programs: programs.into_iter().collect::<Result<_>>()?,
        })
    }

    /// Program and function of a block; code that belongs to nobody here has no name.
    pub(super) fn name(&self, block: &Block) -> (Program, String) {
        if block.address >> 63 != 0 {
            let name = self.kernel.at(block.address).unwrap_or("?");
            return (Program::Kernel, name.to_owned());
        }
        let owner = self.programs.iter().find(|loaded| loaded.holds(block));
        match owner {
            Some(loaded) => {
                let name = loaded.functions.at(block.address - loaded.base);
                (loaded.program, name.unwrap_or("?").to_owned())
            }
            None => (Program::Other, String::new()),
        }
    }
}

/// Functions by where they begin.
struct Functions(Vec<(u64, String)>);

impl Functions {
    fn sorted(mut all: Vec<(u64, String)>) -> Self {
        all.sort();
        Self(all)
    }

    fn at(&self, address: u64) -> Option<&str> {
        let after = self.0.partition_point(|(begin, _)| *begin <= address);
        Some(&self.0.get(after.checked_sub(1)?)?.1)
    }
}

/// A line of `/proc/kallsyms`; a module's functions carry its name.
fn kernel_symbol(line: &str) -> Option<(u64, String)> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let function = matches!(words.next()?, "t" | "T" | "w" | "W");
    let name = [words.next()?, words.next().unwrap_or("")].concat();
    (function && address != 0).then_some((address, name))
}

/// A program of the guest, with the code that tells its blocks from those of another program at the
/// same address.
struct Loaded {
    program: Program,
    base: u64,
    segments: Vec<(u64, Vec<u8>)>,
    functions: Functions,
}

impl Loaded {
    fn of(guest: &Guest, name: &str, program: Program) -> Result<Self> {
        let maps = format!(
            "for p in /proc/[0-9]*; do case $(readlink $p/exe) in */{name}) grep -m 1 /{name} $p/maps; break;; esac; done"
        );
        let maps = guest.run(&maps)?.into_stdout()?;
        let base = maps.split('-').next().unwrap_or_default();
        let base = u64::from_str_radix(base, 16)
            .map_err(|_| Error::Command(format!("no memory map of {name} in: {maps}")))?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = folder.join(format!("../target/x86_64-unknown-linux-gnu/release/{name}"));
        let bytes = std::fs::read(&file).map_err(|source| Error::Io {
            what: format!("reading {}", file.display()),
            source,
        })?;
        let parsed = object::File::parse(&*bytes)
            .map_err(|error| Error::Command(format!("{}: {error}", file.display())))?;
        let segments = parsed.segments();
        let segment =
            |segment: object::Segment| Some((segment.address(), segment.data().ok()?.to_vec()));
        let symbols = parsed.symbols();
        let function = |symbol: object::Symbol| {
            let name = rustc_demangle::demangle(symbol.name().ok()?);
            let code = symbol.kind() == SymbolKind::Text && symbol.size() > 0;
            code.then(|| (symbol.address(), format!("{name:#}")))
        };
        Ok(Self {
            program,
            base,
            segments: segments.filter_map(segment).collect(),
            functions: Functions::sorted(symbols.filter_map(function).collect()),
        })
    }

    fn holds(&self, block: &Block) -> bool {
        let Some(address) = block.address.checked_sub(self.base) else {
            return false;
        };
        self.segments.iter().any(|(begin, bytes)| {
            let at = address
                .checked_sub(*begin)
                .and_then(|at| usize::try_from(at).ok());
            let code = at.and_then(|at| bytes.get(at..at + block.code.len()));
            code == Some(&block.code[..])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_told_from_the_kernel_itself() {
        assert_eq!(
            kernel_symbol("ffffffffc0001000 t tun_get_user\t[tun]"),
            Some((0xffff_ffff_c000_1000, "tun_get_user[tun]".to_owned()))
        );
        assert_eq!(kernel_symbol("ffffffff81000000 D some_data"), None);
        assert_eq!(kernel_symbol("0000000000000000 T hidden"), None);
    }

    #[test]
    fn a_function_reaches_to_the_next() {
        let functions = Functions::sorted(vec![(20, "b".to_owned()), (10, "a".to_owned())]);
        assert_eq!(
            [9, 10, 19, 20, 99].map(|at| functions.at(at)),
            [None, Some("a"), Some("a"), Some("b"), Some("b")]
        );
    }
}
