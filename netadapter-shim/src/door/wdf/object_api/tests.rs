use std::cell::RefCell;
use std::ptr::null;

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::Callback;
use crate::door::wdf::test_client::{TestClient, attributes};

thread_local! {
    static CALLS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn cleanup(_: Handle) {
    CALLS.with_borrow_mut(|calls| calls.push("cleanup"));
}

extern "C" fn destroy(_: Handle) {
    CALLS.with_borrow_mut(|calls| calls.push("destroy"));
}

fn kind(name: &'static std::ffi::CStr) -> WdfContextTypeInfo {
    WdfContextTypeInfo {
        size: 40,
        name: name.as_ptr(),
        context_size: 24,
        unique_type: null(),
        get_unique_type: null(),
    }
}

fn watched() -> WdfObjectAttributes {
    WdfObjectAttributes {
        evt_cleanup: Some(Callback::of(cleanup)),
        evt_destroy: Some(Callback::of(destroy)),
        ..attributes()
    }
}

fn general(client: &TestClient, attributes: &WdfObjectAttributes) -> Handle {
    client.create(|globals, out| WdfObjectCreate(globals, In::from(attributes), out))
}

#[test]
fn an_object_is_a_child_of_the_driver_unless_told_otherwise() {
    let client = TestClient::new();
    let first = general(&client, &attributes());
    assert_eq!(object::parent(first), Some(client.driver()));
    let mut below = attributes();
    below.parent = first;
    assert_eq!(object::parent(general(&client, &below)), Some(first));
}

#[test]
fn deleting_runs_cleanup_then_destroy_and_the_handle_is_stale() {
    let client = TestClient::new();
    let handle = general(&client, &watched());
    WdfObjectDelete(null(), handle);
    assert_eq!(CALLS.take(), ["cleanup", "destroy"]);
    WdfObjectDelete(null(), handle);
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn a_reference_holds_destruction_back() {
    let client = TestClient::new();
    let handle = general(&client, &watched());
    WdfObjectReferenceActual(null(), handle, null(), 1, null());
    WdfObjectDelete(null(), handle);
    assert_eq!(CALLS.take(), ["cleanup"]);
    WdfObjectDereferenceActual(null(), handle, null(), 1, null());
    assert_eq!(CALLS.take(), ["destroy"]);
}

#[test]
fn the_driver_cannot_be_deleted_by_its_client() {
    let client = TestClient::new();
    WdfObjectDelete(null(), client.driver());
    recorded::take_one(WdfFault::ObjectError);
    assert!(object::is_alive(client.driver()));
}

#[test]
fn a_context_is_found_by_type_and_leads_back_to_its_object() {
    let client = TestClient::new();
    let first = kind(c"FIRST");
    let mut wanted = attributes();
    wanted.context_type = &first;
    let handle = general(&client, &wanted);
    let memory = WdfObjectGetTypedContextWorker(null(), handle, In::of(&first));
    assert!(!memory.is_null());
    assert_eq!(WdfObjectContextGetObject(null(), memory), handle);
    let second = kind(c"SECOND");
    let none = WdfObjectGetTypedContextWorker(null(), handle, In::of(&second));
    assert!(none.is_null());
    assert!(recorded::take().is_empty());
    WdfObjectContextGetObject(null(), null());
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn allocating_a_context_twice_finds_the_first_one() {
    let client = TestClient::new();
    let handle = general(&client, &attributes());
    let first = kind(c"LATE");
    let mut wanted = attributes();
    wanted.context_type = &first;
    let allocate = |wanted: &WdfObjectAttributes| {
        let mut memory = null_mut();
        let status =
            WdfObjectAllocateContext(null(), handle, In::from(wanted), Out::of(&mut memory));
        (status, memory)
    };
    let (status, memory) = allocate(&wanted);
    assert_eq!(status, NtStatus::SUCCESS);
    assert_eq!(allocate(&wanted), (NtStatus::OBJECT_NAME_EXISTS, memory));
    assert_eq!(allocate(&attributes()).0, NtStatus::OBJECT_NAME_INVALID);
    wanted.parent = client.driver();
    let refused = NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
    assert_eq!(allocate(&wanted).0, refused);
}

#[test]
fn a_custom_type_marks_an_object() {
    let client = TestClient::new();
    let handle = general(&client, &attributes());
    let mark = kind(c"MARK");
    let is = |mark: &WdfContextTypeInfo| WdfObjectIsCustomType(null(), handle, In::from(mark));
    assert_eq!(is(&mark), 0);
    let add = || {
        WdfObjectAddCustomType(
            null(),
            handle,
            In::of(&mark),
            0,
            Some(Callback::of(cleanup)),
            None,
        )
    };
    assert_eq!(add(), NtStatus::SUCCESS);
    assert_eq!(is(&mark), 1);
    assert_eq!(add(), NtStatus::OBJECT_NAME_EXISTS);
    WdfObjectDelete(null(), handle);
    assert_eq!(CALLS.take(), ["cleanup"]);
}

#[test]
fn only_devices_and_queues_have_a_lock() {
    let client = TestClient::new();
    WdfObjectAcquireLock(null(), client.driver());
    recorded::take_one(WdfFault::InvalidLockOperation);
    let device = object::create(Kind::Device, None, Arc::new(())).unwrap();
    WdfObjectAcquireLock(null(), device);
    WdfObjectReleaseLock(null(), device);
    assert!(recorded::take().is_empty());
    WdfObjectReleaseLock(null(), device);
    recorded::take_one(WdfFault::InvalidLockOperation);
    object::delete(device);
}

#[test]
fn the_lock_of_an_object_lasts_until_it_is_destroyed() {
    let create = || object::create(Kind::Device, None, Arc::new(())).unwrap();
    let device = create();
    object::reference(device);
    object::delete(device);
    WdfObjectAcquireLock(null(), device);
    WdfObjectReleaseLock(null(), device);
    assert!(recorded::take().is_empty(), "from a cleanup callback");
    object::dereference(device);
    let next = create();
    WdfObjectAcquireLock(null(), next);
    WdfObjectReleaseLock(null(), next);
    assert!(!LOCKS.lock().unwrap().contains_key(&device));
    object::delete(next);
}

#[test]
fn a_create_before_the_driver_is_a_breach() {
    let mut handle = Handle::NULL;
    let status = WdfObjectCreate(null(), In::NULL, Out::of(&mut handle));
    assert_eq!(status, NtStatus::INVALID_PARAMETER);
    recorded::take_one(WdfFault::VerifierFatalError);
    assert!(handle.is_null());
}

#[test]
fn a_context_is_not_found_any_more_once_its_object_is_destroyed() {
    let client = TestClient::new();
    let kind = kind(c"FLEETING");
    let mut wanted = attributes();
    wanted.context_type = &kind;
    let handle = general(&client, &wanted);
    let find = || WdfObjectGetTypedContextWorker(null(), handle, In::of(&kind));
    let first = find();
    assert!(!first.is_null());
    assert_eq!(
        object::context_known(handle, (&raw const kind).addr()),
        Some(first)
    );
    assert_eq!(find(), first);
    WdfObjectDelete(null(), handle);
    assert!(find().is_null());
    recorded::take_one(WdfFault::InvalidHandle);
}

/// What a call takes, over many.
fn nanoseconds(call: impl Fn()) -> f64 {
    const CALLS: u32 = 1_000_000;
    let begin = std::time::Instant::now();
    (0..CALLS).for_each(|_| call());
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

#[test]
#[ignore = "a measurement: cargo test --release -p netadapter-shim --lib -- --ignored --nocapture cost"]
fn the_cost_of_a_context_and_of_a_handle() {
    let client = TestClient::new();
    let kind = kind(c"COSTLY");
    let mut wanted = attributes();
    wanted.context_type = &kind;
    let objects: Vec<_> = (0..1000).map(|_| general(&client, &wanted)).collect();
    let object = objects[500];
    let context = nanoseconds(|| {
        let found = WdfObjectGetTypedContextWorker(null(), object, In::of(&kind));
        assert!(!std::hint::black_box(found).is_null());
    });
    let handle = nanoseconds(|| {
        let found = object::payload::<()>(object, Kind::General);
        assert!(std::hint::black_box(found).is_ok());
    });
    let globals = nanoseconds(|| {
        let found = crate::door::globals::client(client.globals());
        assert!(std::hint::black_box(found).is_some());
    });
    println!("context {context:.1} ns, handle {handle:.1} ns, globals {globals:.1} ns");
}
