#![allow(unsafe_code)] // plays the client: passes it structures and callbacks

use std::cell::RefCell;
use std::ptr::null;

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::{Callback, In};
use crate::door::types::{WdfContextTypeInfo, WdfObjectAttributes};

thread_local! {
    static CALLS: RefCell<Vec<(&'static str, Handle)>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn cleanup(handle: Handle) {
    CALLS.with_borrow_mut(|calls| calls.push(("cleanup", handle)));
}

extern "C" fn destroy(handle: Handle) {
    CALLS.with_borrow_mut(|calls| calls.push(("destroy", handle)));
}

fn calls() -> Vec<(&'static str, Handle)> {
    CALLS.take()
}

fn attributes() -> WdfObjectAttributes {
    WdfObjectAttributes {
        size: 56,
        evt_cleanup: Some(Callback::of(cleanup)),
        evt_destroy: Some(Callback::of(destroy)),
        execution_level: 1,
        synchronization_scope: 1,
        parent: Handle::NULL,
        context_size_override: 0,
        context_type: null(),
    }
}

fn context_type(size: usize) -> WdfContextTypeInfo {
    WdfContextTypeInfo {
        size: 40,
        name: c"SAMPLE".as_ptr(),
        context_size: size,
        unique_type: null(),
        get_unique_type: null(),
    }
}

/// Adds a context and callbacks.
fn attach(handle: Handle, given: &WdfObjectAttributes) {
    let attributes = read(given, Rules::ANY).unwrap();
    allocate_context(handle, &attributes).unwrap();
}

/// An object with both callbacks.
fn watched(parent: Option<Handle>) -> Handle {
    let handle = create(Kind::General, parent, Arc::new(())).unwrap();
    let attributes = attributes();
    attach(handle, &attributes);
    handle
}

fn read(attributes: &WdfObjectAttributes, rules: Rules) -> Result<Attributes, NtStatus> {
    Attributes::of(In::of(attributes), rules)
}

#[test]
fn a_payload_is_found_by_its_kind_only() {
    let handle = create(Kind::Timer, None, Arc::new(7u32)).unwrap();
    assert_eq!(*payload::<u32>(handle, Kind::Timer).unwrap(), 7);
    let bad = payload::<u32>(handle, Kind::Memory).unwrap_err();
    assert!(bad.to_string().contains("Timer"), "{bad}");
    delete(handle);
    let gone = payload::<u32>(handle, Kind::Timer).unwrap_err();
    assert!(gone.to_string().contains("no object"), "{gone}");
}

#[test]
fn a_payload_that_was_found_is_found_no_more_once_its_object_is_destroyed() {
    let handle = create(Kind::General, None, Arc::new(7u32)).unwrap();
    let found: Arc<u32> = payload(handle, Kind::General).unwrap();
    let again: Arc<u32> = payload(handle, Kind::General).unwrap();
    assert!(Arc::ptr_eq(&found, &again));
    assert!(payload::<u32>(handle, Kind::Device).is_err());
    drop(again);
    delete(handle);
    // Somebody has its Rust half still; its handle stands for nothing.
    assert!(payload::<u32>(handle, Kind::General).is_err());
    assert_eq!(Arc::strong_count(&found), 1, "kept by nobody else");
}

#[test]
fn a_bad_handle_is_a_breach_that_names_the_call() {
    let status = checked::<u32>("WdfTimerStart", Handle::from_address(0x40), Kind::Timer);
    assert_eq!(status.unwrap_err(), NtStatus::INVALID_HANDLE);
    let text = recorded::take_one(WdfFault::InvalidHandle);
    assert!(text.starts_with("WdfTimerStart: handle 0x40"), "{text}");
}

#[test]
fn children_are_cleaned_up_and_destroyed_before_their_parent() {
    let top = watched(None);
    let first = watched(Some(top));
    let leaf = watched(Some(first));
    let second = watched(Some(top));
    delete(top);
    let order = [leaf, first, second, top];
    let cleanups = order.map(|handle| ("cleanup", handle));
    let destroys = order.map(|handle| ("destroy", handle));
    assert_eq!(calls(), [cleanups, destroys].concat());
    assert_eq!(kind(top), None);
}

#[test]
fn a_reference_delays_destruction_but_not_cleanup() {
    let top = watched(None);
    let child = watched(Some(top));
    reference(child);
    delete(top);
    let seen = calls();
    assert_eq!(
        seen,
        [("cleanup", child), ("cleanup", top), ("destroy", top)]
    );
    assert_eq!(kind(child), Some(Kind::General));
    dereference(child);
    assert_eq!(calls(), [("destroy", child)]);
    assert!(recorded::take().is_empty());
}

#[test]
fn deleting_twice_and_from_within_a_callback_does_nothing() {
    extern "C" fn again(handle: Handle) {
        delete(handle);
        cleanup(handle);
    }
    let handle = create(Kind::General, None, Arc::new(())).unwrap();
    let mut attributes = attributes();
    attributes.evt_cleanup = Some(Callback::of(again));
    attach(handle, &attributes);
    delete(handle);
    delete(handle);
    assert_eq!(calls(), [("cleanup", handle), ("destroy", handle)]);
}

#[test]
fn a_deleted_child_leaves_its_parent() {
    let top = watched(None);
    let child = watched(Some(top));
    assert_eq!(children(top, Kind::General), [child]);
    delete(child);
    assert_eq!(children(top, Kind::General), []);
    delete(top);
    assert_eq!(calls().len(), 4);
}

#[test]
fn a_parent_that_is_going_takes_no_children() {
    thread_local! {
        static STATUS: RefCell<Option<NtStatus>> = const { RefCell::new(None) };
    }
    extern "C" fn late(handle: Handle) {
        let status = create(Kind::General, Some(handle), Arc::new(()));
        STATUS.set(status.err());
    }
    let handle = create(Kind::General, None, Arc::new(())).unwrap();
    let mut attributes = attributes();
    attributes.evt_cleanup = Some(Callback::of(late));
    attach(handle, &attributes);
    delete(handle);
    assert_eq!(STATUS.take(), Some(NtStatus::DELETE_PENDING));
    let stale = create(Kind::General, Some(handle), Arc::new(()));
    assert_eq!(stale.unwrap_err(), NtStatus::INVALID_HANDLE);
}

#[test]
fn a_reference_too_few_is_a_breach_and_the_object_stays() {
    let handle = watched(None);
    dereference(handle);
    recorded::take_one(WdfFault::ObjectError);
    assert!(is_alive(handle));
    delete(handle);
    dereference(handle);
    recorded::take_one(WdfFault::InvalidHandle);
    reference(handle);
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn hooks_run_between_the_children_and_the_clients_cleanup() {
    let top = watched(None);
    let child = watched(Some(top));
    let hook = move || CALLS.with_borrow_mut(|calls| calls.push(("hook", top)));
    on_dispose(top, Box::new(hook));
    delete(top);
    let cleanups = [("cleanup", child), ("hook", top), ("cleanup", top)];
    assert_eq!(calls()[..3], cleanups);
}

#[test]
fn a_hook_that_comes_too_late_runs_at_once() {
    let hook = |handle| CALLS.with_borrow_mut(|calls| calls.push(("hook", handle)));
    let handle = watched(None);
    reference(handle);
    delete(handle);
    assert_eq!(calls(), [("cleanup", handle)]);
    on_dispose(handle, Box::new(move || hook(handle)));
    assert_eq!(calls(), [("hook", handle)]);
    dereference(handle);
    assert_eq!(calls(), [("destroy", handle)]);
    on_dispose(handle, Box::new(move || hook(handle)));
    assert_eq!(calls(), [("hook", handle)]);
}

#[test]
fn an_abandoned_object_calls_nobody() {
    let handle = watched(None);
    abandon(handle);
    assert_eq!(calls(), []);
    assert_eq!(kind(handle), None);
}

#[test]
fn contexts_are_zeroed_aligned_and_found_by_type() {
    let kind = context_type(40);
    let mut attributes = attributes();
    attributes.context_type = &kind;
    let checked = read(&attributes, Rules::PLAIN).unwrap();
    let handle = create_with(Kind::General, None, &checked, Arc::new(())).unwrap();
    let wanted = checked.context.clone().unwrap();
    let memory = context(handle, &wanted).unwrap();
    assert_eq!(memory.addr() % 16, 0);
    // SAFETY: the context has 40 bytes and this thread alone uses it.
    let bytes: [u8; 40] = unsafe { memory.cast::<[u8; 40]>().read() };
    assert_eq!(bytes, [0; 40]);
    assert_eq!(owner_of_context(memory), Some(handle));
    let twin = ContextType {
        unique: 1,
        ..wanted.clone()
    };
    assert_eq!(context(handle, &twin), Some(memory), "same name");
    let other = ContextType {
        name: c"OTHER".to_owned(),
        ..twin
    };
    assert_eq!(context(handle, &other), None);
    delete(handle);
    assert_eq!(owner_of_context(memory), None);
}

#[test]
fn a_second_context_of_a_type_is_the_first_one() {
    let handle = watched(None);
    let kind = context_type(8);
    let mut wanted = attributes();
    wanted.context_type = &kind;
    let wanted = read(&wanted, Rules::PLAIN).unwrap();
    let (fresh, memory) = allocate_context(handle, &wanted).unwrap();
    let (again, same) = allocate_context(handle, &wanted).unwrap();
    assert_eq!(fresh, NtStatus::SUCCESS);
    assert_eq!(again, NtStatus::OBJECT_NAME_EXISTS);
    assert_eq!(memory, same);
    delete(handle);
    assert_eq!(calls().len(), 4, "both contexts' callbacks, once each");
}

#[test]
fn attributes_are_refused_with_wdfs_statuses() {
    let kind = context_type(16);
    let nameless = WdfContextTypeInfo {
        name: null(),
        ..kind
    };
    let wrong_kind = WdfContextTypeInfo { size: 39, ..kind };
    let other = Handle::from_address(0x70);
    type Edit<'a> = &'a dyn Fn(&mut WdfObjectAttributes);
    let cases: [(NtStatus, Rules, Edit); 10] = [
        (NtStatus::INFO_LENGTH_MISMATCH, Rules::ANY, &|a| a.size = 48),
        (NtStatus::INFO_LENGTH_MISMATCH, Rules::ANY, &|a| {
            a.context_type = &wrong_kind
        }),
        (NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID, Rules::ANY, &|a| {
            a.context_type = &nameless
        }),
        (NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID, Rules::ANY, &|a| {
            a.context_size_override = 4
        }),
        (NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID, Rules::ANY, &|a| {
            (a.context_type, a.context_size_override) = (&kind, 15)
        }),
        (NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID, Rules::ANY, &|a| {
            a.execution_level = 0
        }),
        (NtStatus::WDF_EXECUTION_LEVEL_INVALID, Rules::PLAIN, &|a| {
            a.execution_level = 2
        }),
        (
            NtStatus::WDF_SYNCHRONIZATION_SCOPE_INVALID,
            Rules::PLAIN,
            &|a| a.synchronization_scope = 2,
        ),
        (
            NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED,
            Rules::ANY.parent(ParentRule::Forbidden),
            &|a| a.parent = other,
        ),
        (
            NtStatus::WDF_PARENT_NOT_SPECIFIED,
            Rules::ANY.parent(ParentRule::Required),
            &|_| (),
        ),
    ];
    for (status, rules, edit) in cases {
        let mut attributes = attributes();
        edit(&mut attributes);
        assert_eq!(read(&attributes, rules).err(), Some(status));
    }
}

#[test]
fn a_create_that_fails_fires_no_callback() {
    let gone = watched(None);
    delete(gone);
    calls();
    let mut wanted = attributes();
    wanted.parent = gone;
    let wanted = read(&wanted, Rules::PLAIN).unwrap();
    let status = create_with(Kind::General, None, &wanted, Arc::new(()));
    assert_eq!(status.unwrap_err(), NtStatus::INVALID_HANDLE);
    assert_eq!(calls(), []);
}

#[test]
fn an_ancestor_is_found_through_the_parents() {
    let device = create(Kind::Device, None, Arc::new(())).unwrap();
    let queue = create(Kind::IoQueue, Some(device), Arc::new(())).unwrap();
    let memory = create(Kind::Memory, Some(queue), Arc::new(())).unwrap();
    assert_eq!(ancestor(memory, Kind::Device), Some(device));
    assert_eq!(ancestor(device, Kind::Device), Some(device));
    assert_eq!(ancestor(memory, Kind::Driver), None);
    delete(device);
}
