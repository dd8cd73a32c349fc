//! The lists of duties and their elements: what they are, and for how long.
//!
//! A list, and what is in it, means something from a power transition's callback until that
//! callback ends; an element that is only being previewed, until the preview ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::policy::Duty;
use crate::door::object::Handle;

/// A callback of a device on its way to or from D0.
#[derive(Clone, Copy)]
struct Transition {
    waking: bool,
}

#[derive(Default)]
struct Shown {
    transitions: HashMap<Handle, Transition>,
    /// Of which device, whether of wake sources, and what is in it.
    lists: HashMap<usize, (Handle, bool, Vec<Arc<Duty>>)>,
    elements: HashMap<usize, (Handle, Arc<Duty>)>,
}

static SHOWN: LazyLock<Mutex<Shown>> = LazyLock::new(Mutex::default);
/// Numbers that look like nothing that can be followed.
static NEXT: AtomicUsize = AtomicUsize::new(0x4d40_0000_0000_0010);

fn shown() -> MutexGuard<'static, Shown> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn fresh() -> usize {
    NEXT.fetch_add(16, Ordering::Relaxed)
}

/// Runs a callback of a power transition: lists are there until it ends.
pub(super) fn in_transition<T>(device: Handle, waking: bool, call: impl FnOnce() -> T) -> T {
    shown().transitions.insert(device, Transition { waking });
    let result = call();
    let mut shown = shown();
    shown.transitions.remove(&device);
    shown.lists.retain(|_, (of, ..)| *of != device);
    shown.elements.retain(|_, (of, _)| *of != device);
    result
}

pub(super) fn is_in_transition(device: Handle) -> bool {
    shown().transitions.contains_key(&device)
}

pub(super) fn is_waking(device: Handle) -> bool {
    let shown = shown();
    shown.transitions.get(&device).is_some_and(|now| now.waking)
}

/// Shows one duty while `call` runs.
pub(super) fn preview<T>(device: Handle, duty: &Arc<Duty>, call: impl FnOnce() -> T) -> T {
    shown().elements.insert(duty.number, (device, duty.clone()));
    let result = call();
    shown().elements.remove(&duty.number);
    result
}

/// Makes a list; its number.
pub(super) fn open(device: Handle, wake: bool, duties: Vec<Arc<Duty>>) -> usize {
    let number = fresh();
    shown().lists.insert(number, (device, wake, duties));
    number
}

/// How many are in a list; `None` if it is none of this kind.
pub(super) fn count(number: usize, wake: bool) -> Option<usize> {
    let shown = shown();
    let (_, kind, duties) = shown.lists.get(&number)?;
    (*kind == wake).then_some(duties.len())
}

/// The number of an element of a list.
pub(super) fn element(number: usize, wake: bool, index: usize) -> Option<usize> {
    let mut shown = shown();
    let (device, kind, duties) = shown.lists.get(&number)?;
    let (device, duty) = (
        *device,
        duties.get(index).filter(|_| *kind == wake)?.clone(),
    );
    let number = duty.number;
    shown.elements.insert(number, (device, duty));
    Some(number)
}

/// The duty behind an element's number.
pub(super) fn duty(number: usize, wake: bool) -> Option<Arc<Duty>> {
    let shown = shown();
    let (_, duty) = shown.elements.get(&number)?;
    (duty.what.is_wake_source() == wake).then(|| duty.clone())
}
