//! Landlock: no file, no TCP port, no process and no abstract socket outside.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
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

/// Denies all but reading and executing what lies in `folders`.
pub(super) fn restrict_to(folders: &[PathBuf], record: &mut Record) -> Result<(), CageError> {
    let level = deny_all_but(folders).map_err(io::Error::other);
    record.layer(
        "Landlock while the library is loaded",
        level.and_then(self::level),
    )?;
    Ok(())
}

fn deny_all_but(folders: &[PathBuf]) -> Result<LandlockStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    // Folders that are not there are not needed.
    let rules = path_beneath_rules(folders, AccessFs::from_read(NEWEST));
    Ok(ruleset.add_rules(rules)?.restrict_self()?.landlock)
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
