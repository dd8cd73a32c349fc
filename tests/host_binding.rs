//! Taking cards from code: whose turn it is, and who has to give what back.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::machine::{CARD, Card, Kernel, Machine, Manners};
use support::namespace::{in_namespace, sh};
use umnet::host::binding::{Binding, Restore, TakeOptions, release};
use umnet::host::obstacle::Obstacle;
use umnet::host::state::{DeviceLock, DeviceState, Purpose};
use umnet::host::{Host, HostError};

fn machine() -> (Machine, Kernel) {
    let machine = Machine::new();
    machine.card(&CARD);
    let kernel = Kernel::start(&machine, Manners::plain(&CARD));
    (machine, kernel)
}

fn take(host: &Host, card: &Card, purpose: Purpose) -> Result<Binding, HostError> {
    let card = host.card(card.address.parse().unwrap()).unwrap();
    let options = TakeOptions {
        force: true,
        purpose,
        resumed: false,
    };
    Binding::take(host, &card, options)
}

#[test]
fn a_run_gives_back_what_it_took() {
    let (machine, _kernel) = machine();
    let host = machine.host();
    let binding = take(&host, &CARD, Purpose::Run).unwrap();
    assert_eq!(binding.group(), 7);
    assert_eq!(binding.group_file(), machine.path("dev/vfio/7"));
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("vfio-pci"));
    let released = binding.release(Restore::Everything).unwrap().unwrap();
    assert_eq!(released.driver.as_deref(), Some("virtio-pci"));
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("virtio-pci"));
    assert!(!host.run_dir().exists());
}

#[test]
fn releasing_after_a_crash_leaves_nothing_in_the_run_folder() {
    let (machine, _kernel) = machine();
    let host = machine.host();
    drop(take(&host, &CARD, Purpose::Run).unwrap());
    let socket = format!("{}.sock", CARD.address);
    std::fs::write(host.run_dir().join(socket), "").unwrap();
    let card = host.card(CARD.address.parse().unwrap()).unwrap();
    assert!(release(&host, &card).unwrap().is_some());
    assert!(!host.run_dir().exists());
}

#[test]
fn an_unplugged_card_is_forgotten() {
    let (machine, kernel) = machine();
    let host = machine.host();
    let binding = take(&host, &CARD, Purpose::Run).unwrap();
    assert!(!binding.is_unplugged());
    drop(kernel);
    std::fs::remove_dir_all(machine.path(&format!("sys/bus/pci/devices/{}", CARD.address)))
        .unwrap();
    assert!(binding.is_unplugged());
    binding.forget().unwrap();
    assert!(!host.run_dir().exists());
}

#[test]
fn a_run_leaves_a_card_that_was_bound_before() {
    let (machine, _kernel) = machine();
    let host = machine.host();
    drop(take(&host, &CARD, Purpose::Bind).unwrap());
    let binding = take(&host, &CARD, Purpose::Run).unwrap();
    assert_eq!(binding.release(Restore::Everything).unwrap(), None);
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("vfio-pci"));
    let card = host.card(CARD.address.parse().unwrap()).unwrap();
    assert!(release(&host, &card).unwrap().is_some());
}

#[test]
fn a_run_leaves_a_card_that_somebody_else_gave_to_vfio() {
    let machine = Machine::new();
    machine.function(CARD.address, "0x1af4", "0x1041", "0x020000", Some(7));
    machine.bound(CARD.address, "vfio-pci");
    machine.file("dev/vfio/7", "");
    let host = machine.host();
    let before = machine.everything();
    let binding = take(&host, &CARD, Purpose::Run).unwrap();
    assert_eq!(binding.interface(), None);
    assert_eq!(binding.release(Restore::Everything).unwrap(), None);
    machine.is_as(&before);
}

#[test]
fn the_run_after_one_that_died_gives_the_card_back() {
    let (machine, _kernel) = machine();
    let host = machine.host();
    drop(take(&host, &CARD, Purpose::Run).unwrap());
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("vfio-pci"));
    let binding = take(&host, &CARD, Purpose::Run).unwrap();
    assert!(binding.release(Restore::Everything).unwrap().is_some());
    assert_eq!(machine.driver_of(&CARD).as_deref(), Some("virtio-pci"));
}

#[test]
fn binding_after_a_run_that_died_keeps_the_card_bound() {
    let (machine, _kernel) = machine();
    let host = machine.host();
    drop(take(&host, &CARD, Purpose::Run).unwrap());
    drop(take(&host, &CARD, Purpose::Bind).unwrap());
    let binding = take(&host, &CARD, Purpose::Run).unwrap();
    assert_eq!(binding.release(Restore::Everything).unwrap(), None);
}

#[test]
fn two_cannot_take_one_card_but_may_take_two() {
    let machine = Machine::new();
    let second = Card {
        address: "0001:02:04.0",
        group: Some(8),
        interface: "umnetcard1",
        mac: "52:54:00:12:34:57",
        ..CARD
    };
    machine.card(&CARD);
    machine.card(&second);
    let _kernel = Kernel::start(&machine, Manners::plain(&CARD));
    let host = machine.host();
    let first = take(&host, &CARD, Purpose::Run).unwrap();
    match take(&host, &CARD, Purpose::Run) {
        Err(HostError::Obstacle(Obstacle::Running { holder, .. })) => {
            assert_eq!(holder.pid, std::process::id());
        }
        other => panic!("{other:?}"),
    }
    let other = take(&host, &second, Purpose::Run).unwrap();
    assert_eq!((first.group(), other.group()), (7, 8));
}

#[test]
fn only_one_at_a_time_has_the_lock() {
    let machine = Machine::new();
    let host = machine.host();
    let inside = AtomicBool::new(false);
    let rounds = |_| {
        let mut got = 0;
        while got < 200 {
            let Ok(lock) = DeviceLock::acquire(&host, "card") else {
                continue;
            };
            assert!(!inside.swap(true, Ordering::SeqCst), "two have the lock");
            // Long enough for another one to come in, if it can.
            std::thread::sleep(Duration::from_micros(50));
            // Long enough for another one to come in, if it can.
            std::thread::sleep(Duration::from_micros(50));
            inside.store(false, Ordering::SeqCst);
            drop(lock);
            got += 1;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || rounds(n))).collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert!(!host.run_dir().exists(), "the last one tidies up");
}

#[test]
fn a_record_is_whole_or_not_there() {
    let machine = Machine::new();
    let host = machine.host();
    let device = CARD.address.parse().unwrap();
    assert_eq!(DeviceState::load(&host, device).unwrap(), None);
    let mut state = DeviceState::new(device, Purpose::Run);
    state.driver = Some("virtio-pci".to_owned());
    state.save(&host).unwrap();
    state.driver = Some("e1000e".to_owned());
    state.save(&host).unwrap();
    assert_eq!(
        DeviceState::load(&host, device).unwrap().as_ref(),
        Some(&state)
    );
    assert_eq!(DeviceState::all(&host), [state]);
    // Cut off in the middle of writing: the name is not the record's.
    machine.file("run/umnet/0001:02:03.0.json.new", "{\"sch");
    assert!(DeviceState::load(&host, device).unwrap().is_some());
    DeviceState::remove(&host, device).unwrap();
    DeviceState::remove(&host, device).unwrap();
    assert_eq!(DeviceState::load(&host, device).unwrap(), None);
}

#[test]
fn what_went_to_an_interface_that_stays_does_not_go_back_to_the_card() {
    in_namespace(
        "what_went_to_an_interface_that_stays_does_not_go_back_to_the_card",
        || {
            let machine = Machine::new();
            machine.card(&CARD);
            sh(
                "ip link add umnetcard0 type veth peer name wire0; ip link set umnetcard0 up; \
            ip addr add 192.0.2.2/24 dev umnetcard0",
            );
            let back = || {
                sh("ip link add umnetback0 type veth peer name wire1");
                Card {
                    interface: "umnetback0",
                    ..CARD
                }
            };
            let manners = Manners {
                on_return: Box::new(back),
                on_leave: Box::new(|| drop(sh("ip link del umnetcard0"))),
                ..Manners::plain(&CARD)
            };
            let _kernel = Kernel::start(&machine, manners);
            let binding = take(&machine.host(), &CARD, Purpose::Run).unwrap();
            let snapshot = binding.interface().expect("it had one").clone();
            assert_eq!(snapshot.addresses[0].to_string(), "192.0.2.2/24");
            sh("ip link add umnetlan0 type bridge; ip addr add 192.0.2.2/24 dev umnetlan0");
            let released = binding.release(Restore::DriverOnly).unwrap().unwrap();
            assert_eq!(released.interface.as_deref(), Some("umnetback0"));
            assert_eq!(sh("ip -o -4 addr show").matches("192.0.2.2").count(), 1);
        },
    );
}
