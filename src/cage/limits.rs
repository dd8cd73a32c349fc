//! Resource limits, and what the process brought along.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{CageError, Confinement, Record};

/// Standard input, output and error stream: a host's socket and its log.
const STANDARD: u32 = 3;

pub(super) fn apply(wish: &Confinement, record: &mut Record) -> Result<(), CageError> {
    record.layer("no core dumps", lower(Resource::Core, 0))?;
    record.layer("limited threads", lower(Resource::Nproc, wish.threads))?;
    let descriptors = lower(Resource::Nofile, wish.descriptors);
    record.confined.descriptors = record.layer("limited descriptors", descriptors)?;
    Ok(())
}

/// Sets both limits to `limit`, or leaves them where they are lower. Answers what holds.
fn lower(resource: Resource, limit: u64) -> rustix::io::Result<u64> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = limit.min(ceiling);
    let both = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(resource, both).map(|()| limit)
}

/// Descriptors beyond the standard three, with what they refer to.
pub(super) fn inherited_descriptors() -> io::Result<Vec<String>> {
    let mut inherited = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number: Option<u32> = entry.file_name().to_str().and_then(|n| n.parse().ok());
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        // The folder that is being read has a descriptor too.
        let reading = target.starts_with(format!("/proc/{}", std::process::id()));
        if let Some(number) = number.filter(|&n| n >= STANDARD && !reading) {
            inherited.push(format!("{number} is {}", target.display()));
        }
    }
    Ok(inherited)
}
