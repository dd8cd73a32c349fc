//! `umnet doctor`.

use serde::Serialize;

use super::{Failure, output};
use crate::exit::Exit;
use crate::host::doctor::Check;
use crate::host::{DeviceSpec, Host};

#[derive(Serialize)]
struct Report {
    device: Option<String>,
    ok: bool,
    checks: Vec<Check>,
}

/// Ends as taking the card would: with the code of the first thing that is in the way.
pub(super) fn doctor(
    host: &Host,
    device: Option<&DeviceSpec>,
    json: bool,
) -> Result<Exit, Failure> {
    let checks = host.examine(device)?;
    let exit = checks
        .iter()
        .find(|check| !check.ok)
        .map_or(Exit::Done, |check| check.exit);
    if json {
        output::json(&Report {
            device: device.map(ToString::to_string),
            ok: exit == Exit::Done,
            checks,
        })?;
    } else {
        output::text(&checks.iter().map(line).collect::<String>())?;
    }
    Ok(exit)
}

fn line(check: &Check) -> String {
    let verdict = match check.exit {
        Exit::Done => "ok",
        Exit::Unsafe => "UNSAFE",
        Exit::Busy => "BUSY",
        _ => "MISSING",
    };
    let mut text = format!("{verdict:<8}{}: {}\n", check.name, check.found);
    if let Some(mend) = &check.mend {
        text += &format!("        mend: {mend}\n");
    }
    text
}
