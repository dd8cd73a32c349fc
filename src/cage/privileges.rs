//! User, groups, capabilities and what could bring them back.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, dumpable_behavior, getgid, getuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, Gid, Uid, capabilities,
    clear_ambient_capability_set, no_new_privs, remove_capability_from_bounding_set,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::{CageError, Confinement, Record};

/// Gives up every privilege. What needs privileges to be given up comes first.
pub(super) fn give_up(wish: &Confinement, record: &mut Record) -> Result<(), CageError> {
    give_up_but(wish, CapabilitySet::empty(), record)
}

/// The same, but files and folders of anybody can be read as far as Landlock leaves them.
pub(super) fn give_up_all_but_reading(
    wish: &Confinement,
    record: &mut Record,
) -> Result<(), CageError> {
    give_up_but(wish, CapabilitySet::DAC_READ_SEARCH, record)
}

/// The rest of it.
pub(super) fn give_up_reading(record: &mut Record) -> Result<(), CageError> {
    let sets = record.layer(
        "no capabilities",
        set_capability_sets(CapabilitySet::empty()),
    )?;
    record.confined.no_capabilities &= sets.is_some();
    Ok(())
}

fn give_up_but(
    wish: &Confinement,
    kept: CapabilitySet,
    record: &mut Record,
) -> Result<(), CageError> {
    let bits = set_capabilities_secure_bits(root_means_nothing());
    record.confined.locked_secure_bits = record.layer("locked secure bits", bits)?.is_some();
    let bounding = record.layer("empty bounding set", empty_bounding_set())?;
    let user = record.layer("own uid", change_user(wish))?;
    record.confined.uid = user.map(|()| wish.uid);
    let sets = record.layer("no capabilities", set_capability_sets(kept))?;
    let bound = record.layer("no_new_privs", set_no_new_privs(true))?;
    record.confined.no_capabilities = [bounding, sets, bound].iter().all(Option::is_some);
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    record.confined.not_dumpable = record.layer("not dumpable", dumpable)?.is_some();
    Ok(())
}

/// Uid 0 has no capabilities, nobody keeps or raises any, and that cannot be changed.
fn root_means_nothing() -> CapabilitiesSecureBits {
    use CapabilitiesSecureBits as Bits;
    let root = Bits::NO_ROOT | Bits::NO_ROOT_LOCKED;
    let changing = Bits::NO_SETUID_FIXUP | Bits::NO_SETUID_FIXUP_LOCKED;
    let keeping = Bits::KEEP_CAPS_LOCKED;
    let raising = Bits::NO_CAP_AMBIENT_RAISE | Bits::NO_CAP_AMBIENT_RAISE_LOCKED;
    root | changing | keeping | raising
}

fn empty_bounding_set() -> rustix::io::Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(capability) {
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Of the calling thread, which is the only one.
fn change_user(wish: &Confinement) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(wish.uid), Gid::from_raw(wish.gid));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Nothing but `kept`, and of that only what there is.
fn set_capability_sets(kept: CapabilitySet) -> rustix::io::Result<()> {
    clear_ambient_capability_set()?;
    let kept = kept & capabilities(None)?.permitted;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}

/// Asks the kernel whether what is claimed is so.
pub(super) fn look_back(confined: &super::Confined) -> Result<(), CageError> {
    let still = |what: String| Err(CageError::StillHas(what));
    if let Some(uid) = confined.uid
        && (getuid().as_raw() != uid || getgid().is_root())
    {
        return still(format!(
            "uid {} and gid {}",
            getuid().as_raw(),
            getgid().as_raw()
        ));
    }
    let sets = capabilities(None).map_err(|error| CageError::StillHas(error.to_string()))?;
    let held = sets.effective | sets.permitted | sets.inheritable;
    if !held.is_empty() {
        return still(format!("capabilities {:#x}", held.bits()));
    }
    if confined.no_capabilities && no_new_privs() != Ok(true) {
        return still("the way to new privileges".to_owned());
    }
    if confined.not_dumpable && dumpable_behavior() != Ok(DumpableBehavior::NotDumpable) {
        return still("memory that others may read".to_owned());
    }
    Ok(())
}
