//! KVM or TCG. That `/dev/kvm` opens proves little: on some machines it does, and an ordinary guest then
//! hangs. So KVM is used only after a guest has been seen to boot under it.

use crate::lab::Lab;
use crate::machine::Machine;
use crate::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// How long the trial guest may take under KVM; where KVM works it needs about two seconds.
const TRIAL: Duration = Duration::from_secs(20);

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The host's processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    accel: Accel,
    why: String,
}

/// The acceleration for this test process, said once with its reason.
pub(crate) fn choose(lab: &Lab) -> Result<Accel> {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    if let Some(choice) = CHOICE.get() {
        return Ok(choice.accel);
    }
    let choice = match std::env::var("ACCEL") {
        Ok(word) => forced(&word)?,
        Err(_) => remembered_or_tried(lab)?,
    };
    let choice = CHOICE.get_or_init(|| {
        crate::lab::announce(&format!("acceleration: {} ({})", choice.accel, choice.why));
        choice
    });
    Ok(choice.accel)
}

fn forced(word: &str) -> Result<Choice> {
    let accel = match word {
        "kvm" => Accel::Kvm,
        "tcg" => Accel::Tcg,
        other => {
            return Err(Error::Command(format!(
                "ACCEL={other} is neither kvm nor tcg"
            )));
        }
    };
    Ok(Choice {
        accel,
        why: "forced by ACCEL".to_string(),
    })
}

/// The answer holds until the host boots or QEMU or the guest's kernel change. Test processes that start
/// together wait for one another's trial.
fn remembered_or_tried(lab: &Lab) -> Result<Choice> {
    let path = |name: &str| lab.directory().with_file_name(name);
    // One answer per kernel, so that scenarios of several do not try again in turn.
    let (lock, path) = (
        path("accel.lock"),
        path(&format!("accel-{}", lab.image().kernel_release())),
    );
    let what = format!("opening {}", lock.display());
    let file = File::options()
        .create(true)
        .append(true)
        .open(lock)
        .map_err(Error::io(what))?;
    flock(&file, FlockOperation::LockExclusive)
        .map_err(|error| Error::io("locking")(error.into()))?;
    let key = key(lab);
    if let Some(choice) = recall(&path, &key) {
        return Ok(choice);
    }
    let choice = try_kvm(lab);
    // Unwritten, it is merely tried again.
    let _ = std::fs::write(&path, format!("{key}\n{}\n{}\n", choice.accel, choice.why));
    Ok(choice)
}

fn key(lab: &Lab) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!(
        "{} {} {}",
        boot.trim(),
        lab.qemu_version(),
        lab.image().kernel_release()
    )
}

fn recall(path: &Path, key: &str) -> Option<Choice> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    if lines.next()? != key {
        return None;
    }
    let accel = match lines.next()? {
        "KVM" => Accel::Kvm,
        "TCG" => Accel::Tcg,
        _ => return None,
    };
    Some(Choice {
        accel,
        why: lines.next()?.to_string(),
    })
}

fn try_kvm(lab: &Lab) -> Choice {
    let tcg = |why: String| Choice {
        accel: Accel::Tcg,
        why,
    };
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return tcg(format!("/dev/kvm: {error}"));
    }
    crate::lab::announce("trying whether a guest boots under KVM");
    match lab.beside("kvm-trial").and_then(trial) {
        Ok(()) => Choice {
            accel: Accel::Kvm,
            why: "a guest was seen to boot under it".to_string(),
        },
        Err(error) => {
            let why = error.to_string();
            tcg(format!(
                "/dev/kvm opens, but no guest boots under it: {}",
                why.lines().next().unwrap_or_default()
            ))
        }
    }
}

fn trial(place: Lab) -> Result<()> {
    let machine = Machine::new().named("kvm-trial");
    place.boot_under(machine, Accel::Kvm, TRIAL)?;
    place.clean();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_for_its_key() {
        let path = std::env::temp_dir().join(format!("vm-test-accel.{}", std::process::id()));
        std::fs::write(&path, "boot qemu kernel\nTCG\nhangs\n").unwrap();
        let choice = Choice {
            accel: Accel::Tcg,
            why: "hangs".to_string(),
        };
        assert_eq!(recall(&path, "boot qemu kernel"), Some(choice));
        assert_eq!(recall(&path, "other boot"), None);
        std::fs::write(&path, "boot qemu kernel\n").unwrap();
        assert_eq!(
            recall(&path, "boot qemu kernel"),
            None,
            "cut short while being written"
        );
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn only_two_words_force_an_acceleration() {
        assert_eq!(forced("kvm").unwrap().accel, Accel::Kvm);
        assert_eq!(forced("tcg").unwrap().accel, Accel::Tcg);
        assert!(forced("hax").is_err());
    }
}
