use std::ptr::null;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::*;
use crate::door::fail::recorded;
use crate::door::foreign::Callback;
use crate::door::wdf::device::tests::device;
use crate::door::wdf::device_init::DeviceInit;
use crate::door::wdf::test_client::{TestClient, attributes};

/// Who hears of which object's callbacks.
static HEARERS: Mutex<Vec<(Handle, Sender<Instant>)>> = Mutex::new(Vec::new());

extern "C" fn tell(handle: Handle) {
    let hearers = HEARERS.lock().unwrap();
    for (_, sender) in hearers.iter().filter(|(other, _)| *other == handle) {
        sender.send(Instant::now()).unwrap_or_default();
    }
}

extern "C" fn dawdle(handle: Handle) {
    std::thread::sleep(Duration::from_millis(30));
    tell(handle);
}

/// Keeps [`gated`] from going on.
static GATE: Mutex<()> = Mutex::new(());

extern "C" fn gated(handle: Handle) {
    drop(GATE.lock().unwrap());
    tell(handle);
}

extern "C" fn delete_itself(handle: Handle) {
    object::delete(handle);
    tell(handle);
}

fn hear(handle: Handle) -> Receiver<Instant> {
    let (sender, receiver) = channel();
    HEARERS.lock().unwrap().push((handle, sender));
    receiver
}

fn soon(receiver: &Receiver<Instant>) -> bool {
    receiver.recv_timeout(Duration::from_secs(10)).is_ok()
}

fn below(parent: Handle) -> WdfObjectAttributes {
    let mut attributes = attributes();
    attributes.parent = parent;
    attributes
}

fn timer_config(routine: extern "C" fn(Handle), period: u32) -> TimerConfig {
    TimerConfig {
        size: 40,
        routine: Some(Callback::of(routine)),
        period,
        automatic_serialization: 1,
        tolerable_delay: 0,
        high_resolution: HighResolution(0),
    }
}

fn timer(client: &TestClient, routine: extern "C" fn(Handle), period: u32) -> Handle {
    let (config, attributes) = (timer_config(routine, period), below(device(client)));
    client.create(|globals, out| WdfTimerCreate(globals, In::of(&config), In::of(&attributes), out))
}

type CreateRoutine = extern "C" fn(
    Globals,
    In<'_, RoutineConfig>,
    In<'_, WdfObjectAttributes>,
    Out<'_, Handle>,
) -> NtStatus;

fn made(client: &TestClient, create: CreateRoutine, routine: extern "C" fn(Handle)) -> Handle {
    let config = RoutineConfig {
        size: 24,
        routine: Some(Callback::of(routine)),
        automatic_serialization: 0,
    };
    let attributes = below(device(client));
    client.create(|globals, out| create(globals, In::of(&config), In::of(&attributes), out))
}

#[test]
fn a_timer_fires_once_after_its_time() {
    let client = TestClient::new();
    let timer = timer(&client, tell, 0);
    let heard = hear(timer);
    let begin = Instant::now();
    assert_eq!(WdfTimerStart(null(), timer, -200_000), 0);
    assert!(soon(&heard));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
    assert_eq!(WdfTimerStop(null(), timer, 1), 0);
}

#[test]
fn a_started_timer_is_restarted_or_stopped() {
    let client = TestClient::new();
    let timer = timer(&client, tell, 0);
    let heard = hear(timer);
    assert_eq!(WdfTimerStart(null(), timer, -600_000_000), 0);
    assert_eq!(WdfTimerStart(null(), timer, -600_000_000), 1);
    assert_eq!(WdfTimerStop(null(), timer, 0), 1);
    assert_eq!(WdfTimerStart(null(), timer, 0), 0);
    assert!(soon(&heard));
}

#[test]
fn a_periodic_timer_fires_until_it_is_stopped() {
    let client = TestClient::new();
    let timer = timer(&client, tell, 5);
    let heard = hear(timer);
    WdfTimerStart(null(), timer, -10_000);
    assert!(soon(&heard) && soon(&heard) && soon(&heard));
    assert_eq!(WdfTimerStop(null(), timer, 1), 1);
    while heard.try_recv().is_ok() {}
    assert!(heard.recv_timeout(Duration::from_millis(30)).is_err());
}

#[test]
fn deleting_a_timer_waits_for_its_callback() {
    let client = TestClient::new();
    let timer = timer(&client, dawdle, 1);
    let heard = hear(timer);
    WdfTimerStart(null(), timer, 0);
    std::thread::sleep(Duration::from_millis(10));
    object::delete(timer);
    assert!(heard.try_recv().is_ok(), "ended before delete returned");
    assert!(heard.recv_timeout(Duration::from_millis(60)).is_err());
    assert_eq!(WdfTimerStart(null(), timer, 0), 0);
    recorded::take_one(WdfFault::InvalidHandle);
}

#[test]
fn timers_are_refused_with_wdfs_statuses() {
    let client = TestClient::new();
    let device = device(&client);
    let good = timer_config(tell, 0);
    let mut handle = Handle::NULL;
    let mut create = |config: &TimerConfig, attributes: *const WdfObjectAttributes| {
        WdfTimerCreate(
            null(),
            In::from(config),
            In::from(attributes),
            Out::of(&mut handle),
        )
    };
    let parentless = NtStatus::WDF_PARENT_NOT_SPECIFIED;
    assert_eq!(create(&good, null()), parentless);
    assert_eq!(create(&good, &attributes()), parentless);
    let small = TimerConfig { size: 32, ..good };
    let attributes = below(device);
    let mismatch = NtStatus::INFO_LENGTH_MISMATCH;
    assert_eq!(create(&small, &attributes), mismatch);
    let empty = TimerConfig {
        routine: None,
        ..good
    };
    assert_eq!(create(&empty, &attributes), NtStatus::INVALID_PARAMETER);
    let endless = TimerConfig {
        period: u32::MAX,
        ..good
    };
    assert_eq!(create(&endless, &attributes), NtStatus::INVALID_PARAMETER);
    let outside = below(client.driver());
    assert_eq!(create(&good, &outside), NtStatus::INVALID_DEVICE_REQUEST);
    assert_eq!(create(&good, &attributes), NtStatus::SUCCESS);
    assert_eq!(WdfTimerGetParentObject(null(), handle), device);
}

#[test]
fn a_work_item_runs_once_for_each_time_it_was_not_waiting() {
    let client = TestClient::new();
    let item = made(&client, WdfWorkItemCreate, dawdle);
    let heard = hear(item);
    WdfWorkItemEnqueue(null(), item);
    std::thread::sleep(Duration::from_millis(10));
    WdfWorkItemEnqueue(null(), item);
    WdfWorkItemEnqueue(null(), item);
    WdfWorkItemFlush(null(), item);
    assert_eq!(heard.try_iter().count(), 2);
    WdfWorkItemFlush(null(), item);
    let parent = WdfWorkItemGetParentObject(null(), item);
    assert_eq!(object::parent(item), Some(parent));
}

#[test]
fn a_work_item_may_delete_itself() {
    let client = TestClient::new();
    let item = made(&client, WdfWorkItemCreate, delete_itself);
    let heard = hear(item);
    WdfWorkItemEnqueue(null(), item);
    assert!(soon(&heard));
    assert_eq!(object::kind(item), None);
}

#[test]
fn a_dpc_can_be_cancelled_before_it_runs() {
    let client = TestClient::new();
    let dpc = made(&client, WdfDpcCreate, gated);
    let heard = hear(dpc);
    let closed = GATE.lock().unwrap();
    assert_eq!(WdfDpcEnqueue(null(), dpc), 1);
    // Once the first one runs there is room for a second.
    let end = Instant::now() + Duration::from_secs(10);
    while WdfDpcEnqueue(null(), dpc) == 0 {
        assert!(Instant::now() < end, "it does not run");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(WdfDpcEnqueue(null(), dpc), 0);
    std::thread::scope(|scope| {
        let cancelled = scope.spawn(|| WdfDpcCancel(null(), dpc, 1));
        std::thread::sleep(Duration::from_millis(100));
        drop(closed);
        assert_eq!(cancelled.join().unwrap(), 1);
    });
    assert_eq!(heard.try_iter().count(), 1);
    assert_eq!(WdfDpcCancel(null(), dpc, 1), 0);
    let parent = WdfDpcGetParentObject(null(), dpc);
    assert_eq!(object::kind(parent), Some(Kind::Device));
}

/// How many callbacks run, and the most that did at a time.
static INSIDE: Mutex<(u32, u32)> = Mutex::new((0, 0));

extern "C" fn count(handle: Handle) {
    {
        let mut inside = INSIDE.lock().unwrap();
        inside.0 += 1;
        inside.1 = inside.1.max(inside.0);
    }
    std::thread::sleep(Duration::from_millis(15));
    INSIDE.lock().unwrap().0 -= 1;
    tell(handle);
}

/// The most callbacks at a time of four work items below a device of that scope.
fn most_at_a_time(scope: u32, serialized: Boolean) -> u32 {
    let client = TestClient::new();
    let of_device = Attributes {
        synchronization_scope: scope,
        ..Attributes::default()
    };
    let init = DeviceInit::create(client.driver()).unwrap();
    let device = crate::door::wdf::device::create("test", init, &of_device).unwrap();
    let config = RoutineConfig {
        size: 24,
        routine: Some(Callback::of(count)),
        automatic_serialization: serialized,
    };
    INSIDE.lock().unwrap().1 = 0;
    let items = [(); 4].map(|()| {
        client.create(|globals, out| {
            WdfWorkItemCreate(globals, In::of(&config), In::of(&below(device)), out)
        })
    });
    let heard = items.map(hear);
    items
        .iter()
        .for_each(|item| WdfWorkItemEnqueue(null(), *item));
    assert!(heard.iter().all(soon));
    INSIDE.lock().unwrap().1
}

#[test]
fn automatic_serialization_excludes_what_the_devices_scope_covers() {
    const DEVICE: u32 = 2;
    assert_eq!(most_at_a_time(DEVICE, 1), 1);
    assert!(most_at_a_time(DEVICE, 0) > 1, "not wanted");
    assert!(most_at_a_time(0, 1) > 1, "nothing to share a lock with");
}
