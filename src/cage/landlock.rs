//! Landlock: no file, no TCP port, no process and no abstract socket outside.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetError, Scope,
};

use super::{CageError, Record};

/// The newest level whose rights are known here. An older kernel denies those it knows.
const NEWEST: ABI = ABI::V10;

/// Denies everything that Landlock can deny, and notes the level.
pub(super) fn restrict(record: &mut Record) -> Result<(), CageError> {
    let level = deny_all().map_err(io::Error::other).and_then(level);
    record.confined.landlock = record.layer("Landlock", level)?;
    Ok(())
}

/// Rights are handled and no rule grants any of them.
fn deny_all() -> Result<LandlockStatus, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .restrict_self()?;
    Ok(status.landlock)
}

fn level(status: LandlockStatus) -> io::Result<u32> {
    match status {
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi as u32),
        LandlockStatus::NotEnabled => Err(io::Error::other("not enabled in the kernel")),
        LandlockStatus::NotImplemented => Err(io::Error::other("not in the kernel")),
    }
}
