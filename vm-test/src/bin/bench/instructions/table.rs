//! The plugin's table of blocks.

use std::collections::HashMap;
use std::path::Path;

use vm_test::{Error, Result};

/// Bytes of an entry, as `vm-test/plugin/instructions.c` lays it out.
const ENTRY: usize = 64;
/// How much of a block's code an entry has at most.
const CODE: usize = 40;

/// A run of instructions that is entered at its beginning only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Block {
    pub(super) address: u64,
    instructions: u32,
    /// The first bytes of its code, whole instructions.
    pub(super) code: Vec<u8>,
}

/// How often each block ran.
pub(super) struct Runs(HashMap<Block, u64>);

impl Runs {
    /// The blocks that ran since an earlier look, each with the instructions that it stands for.
    pub(super) fn since(self, before: &Self) -> Vec<(Block, u64)> {
        let blocks = self.0.into_iter();
        let instructions = |(block, runs): (Block, u64)| {
            let runs = runs - before.0.get(&block).copied().unwrap_or(0);
            let instructions = runs * u64::from(block.instructions);
            (block, instructions)
        };
        blocks
            .map(instructions)
            .filter(|(_, all)| *all > 0)
            .collect()
    }
}

pub(super) fn read(path: &Path) -> Result<Runs> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        what: format!("reading {}", path.display()),
        source,
    })?;
    let (first, rest) = bytes.split_at(ENTRY.min(bytes.len()));
    if first.iter().any(|byte| *byte != 0) {
        let why = "the table of blocks is full: instructions went uncounted";
        return Err(Error::Command(why.to_owned()));
    }
    Ok(Runs(
        rest.as_chunks::<ENTRY>()
            .0
            .iter()
            .filter_map(entry)
            .collect(),
    ))
}

fn entry(bytes: &[u8; ENTRY]) -> Option<(Block, u64)> {
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let block = Block {
        address: u64_at(0),
        instructions: u32_at(16),
        code: bytes[24..][..(u32_at(20) as usize).min(CODE)].to_vec(),
    };
    (block.instructions > 0).then(|| (block, u64_at(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(of: &[(u64, u64)]) -> Runs {
        let of_entry = |&(address, runs): &(u64, u64)| {
            let mut bytes = [0; ENTRY];
            bytes[..8].copy_from_slice(&address.to_le_bytes());
            bytes[8..16].copy_from_slice(&runs.to_le_bytes());
            bytes[16] = 3;
            bytes[20] = 2;
            bytes[24..26].copy_from_slice(&[0x90, 0xc3]);
            entry(&bytes).unwrap()
        };
        Runs(of.iter().map(of_entry).collect())
    }

    #[test]
    fn what_ran_between_two_looks_is_their_difference() {
        let ran = runs(&[(10, 7), (20, 5), (30, 1)]).since(&runs(&[(10, 4), (20, 5)]));
        let mut ran: Vec<_> = ran
            .into_iter()
            .map(|(b, n)| (b.address, b.code, n))
            .collect();
        ran.sort();
        assert_eq!(ran, [(10, vec![0x90, 0xc3], 9), (30, vec![0x90, 0xc3], 3)]);
    }

    #[test]
    fn an_entry_without_instructions_is_none() {
        assert!(entry(&[0; ENTRY]).is_none());
    }
}
