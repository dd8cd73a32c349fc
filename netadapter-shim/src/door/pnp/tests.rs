use std::cell::RefCell;
use std::rc::Rc;

use super::Call::*;
use super::*;

/// Notes every call and fails those it is told to fail.
#[derive(Clone, Default)]
struct Recorder {
    calls: Rc<RefCell<Vec<Call>>>,
    lows: Rc<RefCell<Vec<Low>>>,
    failing: Rc<RefCell<Vec<Call>>>,
}

impl Recorder {
    fn failing(call: Call) -> Self {
        let recorder = Self::default();
        recorder.failing.borrow_mut().push(call);
        recorder
    }

    fn take(&self) -> Vec<Call> {
        self.calls.take()
    }
}

impl Calls for Recorder {
    fn call(&self, call: Call, low: Low) -> Result<(), NtStatus> {
        if matches!(call, D0Entry | D0Exit) {
            self.lows.borrow_mut().push(low);
        }
        self.calls.borrow_mut().push(call);
        match self.failing.borrow().contains(&call) {
            true => Err(NtStatus::UNSUCCESSFUL),
            false => Ok(()),
        }
    }
}

const UP: [Call; 6] = [
    PrepareHardware,
    D0Entry,
    InterruptEnable,
    PostInterruptsEnabled,
    IoStart,
    SelfManagedIoInit,
];

const POWER_DOWN: [Call; 5] = [
    SelfManagedIoSuspend,
    IoStop,
    PreInterruptsDisabled,
    InterruptDisable,
    D0Exit,
];

#[test]
fn a_device_goes_up_and_down_in_wdfs_order() {
    let recorder = Recorder::default();
    let mut pnp = Pnp::new(recorder.clone());
    pnp.start().unwrap();
    assert!(pnp.is_working());
    assert_eq!(recorder.take(), UP);
    pnp.remove();
    let asked = [QueryRemove];
    let rest = [
        AdapterStop,
        ReleaseHardware,
        SelfManagedIoFlush,
        SelfManagedIoCleanup,
    ];
    assert_eq!(recorder.take(), [&asked, &POWER_DOWN[..], &rest].concat());
    pnp.remove();
    assert_eq!(recorder.take(), [], "removed twice");
}

#[test]
fn power_comes_back_with_restart_and_without_preparing_again() {
    let recorder = Recorder::default();
    let mut pnp = Pnp::new(recorder.clone());
    pnp.start().unwrap();
    recorder.take();
    pnp.power_down();
    assert!(!pnp.is_working());
    assert_eq!(recorder.take(), POWER_DOWN);
    pnp.start().unwrap();
    let again = [
        D0Entry,
        InterruptEnable,
        PostInterruptsEnabled,
        IoStart,
        SelfManagedIoRestart,
    ];
    assert_eq!(recorder.take(), again);
    pnp.remove();
    let lows = recorder.lows.take();
    assert_eq!(lows, [Low::Final, Low::Sleep, Low::Sleep, Low::Final]);
}

#[test]
fn a_stopped_device_prepares_its_hardware_again() {
    let recorder = Recorder::default();
    let mut pnp = Pnp::new(recorder.clone());
    pnp.start().unwrap();
    recorder.take();
    pnp.stop().unwrap();
    let released = [AdapterStop, ReleaseHardware];
    let down = [&[QueryStop], &POWER_DOWN[..], &released].concat();
    assert_eq!(recorder.take(), down);
    pnp.start().unwrap();
    let again = [&UP[..5], &[SelfManagedIoRestart]].concat();
    assert_eq!(recorder.take(), again);
    let lows = recorder.lows.take();
    assert_eq!(lows, [Low::Final, Low::Stop, Low::Stop]);
}

#[test]
fn a_device_that_must_not_be_stopped_goes_on() {
    let recorder = Recorder::failing(QueryStop);
    let mut pnp = Pnp::new(recorder.clone());
    pnp.start().unwrap();
    recorder.take();
    assert_eq!(pnp.stop().unwrap_err().call, QueryStop);
    assert_eq!(recorder.take(), [QueryStop]);
    assert!(pnp.is_working());
}

/// What follows the calls of the way up when this one of them fails.
fn unwinding(failing: Call) -> Vec<Call> {
    let recorder = Recorder::failing(failing);
    let mut pnp = Pnp::new(recorder.clone());
    let error = pnp.start().unwrap_err();
    assert_eq!(error.call, failing);
    assert_eq!(error.status, NtStatus::UNSUCCESSFUL);
    let mut calls = recorder.take();
    let failed = calls.iter().position(|call| *call == failing).unwrap();
    assert_eq!(calls[..=failed], UP[..=failed]);
    calls.split_off(failed + 1)
}

#[test]
fn each_failure_undoes_what_went_before() {
    let released = [AdapterStop, ReleaseHardware];
    assert_eq!(unwinding(PrepareHardware), released);
    assert_eq!(unwinding(D0Entry), released);
    let connected = [&[InterruptDisable, D0Exit], &released[..]].concat();
    assert_eq!(unwinding(InterruptEnable), connected);
    assert_eq!(unwinding(PostInterruptsEnabled), connected);
    let powered = [&[IoStop, PreInterruptsDisabled], &connected[..]].concat();
    assert_eq!(unwinding(IoStart), powered);
    assert_eq!(unwinding(SelfManagedIoInit), powered);
}

#[test]
fn self_managed_io_is_cleaned_up_even_if_its_start_failed() {
    let recorder = Recorder::failing(SelfManagedIoInit);
    let mut pnp = Pnp::new(recorder.clone());
    pnp.start().unwrap_err();
    recorder.take();
    pnp.remove();
    assert_eq!(recorder.take(), [SelfManagedIoFlush, SelfManagedIoCleanup]);
}

#[test]
fn a_device_that_never_started_ends_without_a_call() {
    let recorder = Recorder::default();
    Pnp::new(recorder.clone()).remove();
    assert_eq!(recorder.take(), []);
}

#[test]
fn a_failing_way_down_goes_on_to_its_end() {
    let recorder = Recorder::failing(D0Exit);
    let mut pnp = Pnp::new(recorder.clone());
    pnp.start().unwrap();
    recorder.take();
    pnp.surprise_remove();
    let calls = recorder.take();
    assert_eq!(calls.first(), Some(&SurpriseRemoval));
    assert_eq!(calls.last(), Some(&SelfManagedIoCleanup));
    assert!(calls.contains(&ReleaseHardware));
}
