//! `WdfTimer*`, `WdfWorkItem*` and `WdfDpc*`.

#![allow(non_snake_case)] // C's names

use std::sync::Arc;
use std::time::Duration;

use super::create::{Globals, create_object, read, required, status};
use super::deferred::{Deferred, Routine};
use super::serialize;
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Attributes, Handle, Kind, ParentRule, Rules};
use crate::door::runtime::clock::Timeout;
use crate::door::table::{Functions, entries};
use crate::door::types::{Boolean, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfTimerCreate,
    WdfTimerStart,
    WdfTimerStop,
    WdfTimerGetParentObject,
    WdfWorkItemCreate,
    WdfWorkItemEnqueue,
    WdfWorkItemFlush,
    WdfWorkItemGetParentObject,
    WdfDpcCreate,
    WdfDpcEnqueue,
    WdfDpcCancel,
    WdfDpcGetParentObject,
];

/// `WDF_TIMER_CONFIG`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct TimerConfig {
    size: u32,
    routine: Option<Routine>,
    period: u32,
    automatic_serialization: Boolean,
    tolerable_delay: u32,
    high_resolution: HighResolution,
}

/// `DECLSPEC_ALIGN(8) BOOLEAN`
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct HighResolution(Boolean);

/// `WDF_WORKITEM_CONFIG` and `WDF_DPC_CONFIG`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RoutineConfig {
    size: u32,
    routine: Option<Routine>,
    automatic_serialization: Boolean,
}

/// What the three create functions share once their structure is read.
fn create(
    call: &str,
    kind: Kind,
    (routine, period, serialized): (Option<Routine>, u32, Boolean),
    attributes: In<'_, WdfObjectAttributes>,
    out: Out<'_, Handle>,
) -> Result<(), NtStatus> {
    required(call, "the handle to return", out)?;
    let rules = Rules::ANY.parent(ParentRule::Required);
    let attributes = Attributes::of(attributes, rules)?;
    let parent = attributes
        .parent
        .ok_or(NtStatus::WDF_PARENT_NOT_SPECIFIED)?;
    object::checked_kind(call, parent)?;
    if object::ancestor(parent, Kind::Device).is_none() {
        log::error!("{call}: ParentObject is neither a device nor below one");
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    let routine = routine.ok_or(NtStatus::INVALID_PARAMETER)?;
    let made = {
        let period = Duration::from_millis(period.into());
        let serialized = match serialized {
            0 => None,
            _ => serialize::below(parent),
        };
        Deferred::new(routine, period, parent, serialized)
    };
    let payload = Arc::clone(&made);
    let handle = create_object(call, kind, parent, &attributes, payload)?;
    made.end_with(handle);
    out.store(handle);
    Ok(())
}

fn parent_of(call: &str, handle: Handle, kind: Kind) -> Handle {
    let found = object::checked::<Deferred>(call, handle, kind);
    found.map_or(Handle::NULL, |found| found.parent())
}

extern "C" fn WdfTimerCreate(
    _: Globals,
    config: In<'_, TimerConfig>,
    attributes: In<'_, WdfObjectAttributes>,
    timer: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfTimerCreate";
    let config = match read(call, "Config", config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    if config.period > i32::MAX as u32 {
        return NtStatus::INVALID_PARAMETER;
    }
    let what = (
        config.routine,
        config.period,
        config.automatic_serialization,
    );
    status(create(call, Kind::Timer, what, attributes, timer))
}

extern "C" fn WdfTimerStart(_: Globals, timer: Handle, due: i64) -> Boolean {
    let call = "WdfTimerStart";
    let Ok(found) = object::checked::<Deferred>(call, timer, Kind::Timer) else {
        return 0;
    };
    match Timeout::from_nt(due) {
        Timeout::After(time) => found.schedule(timer, time).into(),
        Timeout::Never => 0,
    }
}

extern "C" fn WdfTimerStop(_: Globals, timer: Handle, wait: Boolean) -> Boolean {
    let found = object::checked::<Deferred>("WdfTimerStop", timer, Kind::Timer);
    found.is_ok_and(|found| found.cancel(wait != 0)).into()
}

extern "C" fn WdfTimerGetParentObject(_: Globals, timer: Handle) -> Handle {
    parent_of("WdfTimerGetParentObject", timer, Kind::Timer)
}

extern "C" fn WdfWorkItemCreate(
    _: Globals,
    config: In<'_, RoutineConfig>,
    attributes: In<'_, WdfObjectAttributes>,
    item: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfWorkItemCreate";
    match read(call, "Config", config) {
        Ok(config) => {
            let what = (config.routine, 0, config.automatic_serialization);
            status(create(call, Kind::WorkItem, what, attributes, item))
        }
        Err(status) => status,
    }
}

extern "C" fn WdfWorkItemEnqueue(_: Globals, item: Handle) {
    let found = object::checked::<Deferred>("WdfWorkItemEnqueue", item, Kind::WorkItem);
    if let Ok(found) = found {
        found.enqueue(item);
    }
}

extern "C" fn WdfWorkItemFlush(_: Globals, item: Handle) {
    let found = object::checked::<Deferred>("WdfWorkItemFlush", item, Kind::WorkItem);
    if let Ok(found) = found {
        if found.is_this_thread() {
            let text = format_args!("WdfWorkItemFlush: {item} would wait for itself");
            return breach(WdfFault::VerifierFatalError, text);
        }
        found.flush();
    }
}

extern "C" fn WdfWorkItemGetParentObject(_: Globals, item: Handle) -> Handle {
    parent_of("WdfWorkItemGetParentObject", item, Kind::WorkItem)
}

extern "C" fn WdfDpcCreate(
    _: Globals,
    config: In<'_, RoutineConfig>,
    attributes: In<'_, WdfObjectAttributes>,
    dpc: Out<'_, Handle>,
) -> NtStatus {
    let call = "WdfDpcCreate";
    match read(call, "Config", config) {
        Ok(config) => {
            let what = (config.routine, 0, config.automatic_serialization);
            status(create(call, Kind::Dpc, what, attributes, dpc))
        }
        Err(status) => status,
    }
}

extern "C" fn WdfDpcEnqueue(_: Globals, dpc: Handle) -> Boolean {
    let found = object::checked::<Deferred>("WdfDpcEnqueue", dpc, Kind::Dpc);
    found.is_ok_and(|found| found.enqueue(dpc)).into()
}

extern "C" fn WdfDpcCancel(_: Globals, dpc: Handle, wait: Boolean) -> Boolean {
    let found = object::checked::<Deferred>("WdfDpcCancel", dpc, Kind::Dpc);
    found.is_ok_and(|found| found.cancel(wait != 0)).into()
}

extern "C" fn WdfDpcGetParentObject(_: Globals, dpc: Handle) -> Handle {
    parent_of("WdfDpcGetParentObject", dpc, Kind::Dpc)
}

#[cfg(test)]
mod tests;
