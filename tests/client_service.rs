//! `umnet run --client` as a service: what it tells its manager, and what a restart with the
//! descriptors that the manager has kept does not lose.

mod support;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::clients::{Hosted, compile};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};
use support::rig::wait_until;
use support::service_manager::ServiceManager;
use support::wire::{BOTH, Transfer, connect};

const WATCHDOG: Duration = Duration::from_secs(1);
const BETWEEN: u64 = 256 << 10;
const ONE: [&str; 2] = ["--ifname", "left"];

/// A client's run as a service, started again and again.
struct Service<'a> {
    machine: &'a Machine,
    manager: ServiceManager,
    words: Vec<String>,
}

impl<'a> Service<'a> {
    fn new(machine: &'a Machine, client: &Path, args: &[&str]) -> Self {
        Self {
            machine,
            manager: ServiceManager::start(&machine.path("")),
            words: Hosted::words(machine, client, args),
        }
    }

    /// Starts it with what was kept, and waits until it says that it is ready.
    fn up(&self) -> Hosted {
        let before = self.manager.told().ready;
        // With the command its copies of what is kept are closed.
        let hosted = {
            let mut command = self.manager.command(&self.words, WATCHDOG);
            Hosted::start_as(self.machine, &mut command)
        };
        wait_until("it does not say that it is ready", || {
            self.manager.told().ready > before
        });
        hosted
    }

    /// What is kept, by its role.
    fn kept(&self) -> Vec<String> {
        let kept = self.manager.kept();
        let roles = kept.iter().map(|name| name.split('-').next());
        roles.flatten().map(str::to_owned).collect()
    }

    fn status(&self) -> Value {
        let all = self.machine.umnet(&["status", "--json"]);
        let all: Value = serde_json::from_str(&all.stdout).unwrap_or_default();
        all["devices"][0].clone()
    }
}

/// Everything a connection depends on.
fn interface() -> String {
    let link = "ip -o link show left | grep -o -e '^[0-9]*' -e 'link/ether [^ ]*'";
    sh(&format!(
        "{link}; ip -o -4 addr show left; ip route show dev left"
    ))
}

#[test]
fn no_connection_is_lost_while_a_clients_service_is_killed_or_restarted() {
    let test = "no_connection_is_lost_while_a_clients_service_is_killed_or_restarted";
    let Some(client) = compile("tests/clients/pair.c", "service", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let service = Service::new(&machine, &client, &BOTH);
        let mut hosted = service.up();
        let elsewhere = connect();
        let before = interface();
        let transfer = Transfer::begin(&elsewhere);
        for (round, signal) in (1..).zip([Signal::KILL, Signal::KILL, Signal::USR2, Signal::KILL]) {
            transfer.goes_on(BETWEEN);
            assert_eq!(service.kept(), ["fd0", "fd1", "state"]);
            let host = service.status()["host"]["pid"].as_u64().expect("one runs");
            let ended = hosted.end_by(signal);
            assert!([0, 128 + 9].contains(&ended.code), "{ended:?}");
            let host = format!("/proc/{host}");
            wait_until("the client host lives on", || !Path::new(&host).exists());
            assert_eq!(interface(), before, "while no client runs");
            hosted = service.up();
            let status = service.status();
            assert_eq!(status["supervisor_restarts"], round, "{status}");
            assert_eq!(status["restarts"], round, "{status}");
        }
        // And replaced in place before it is killed once more.
        let reloading = service.manager.told().reloading;
        let updated = machine.umnet(&["update", "--supervisor"]);
        assert_eq!(updated.code, 0, "{updated:?}");
        assert_eq!(service.manager.told().reloading, reloading + 1);
        transfer.goes_on(BETWEEN);
        wait_until("more is kept than there is", || {
            service.kept() == ["fd0", "fd1", "state"]
        });
        hosted.end_by(Signal::KILL);
        hosted = service.up();
        transfer.goes_on(BETWEEN);
        transfer.digests_agree();
        assert_eq!(interface(), before);
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(service.kept(), [""; 0]);
        assert_eq!(sh("ip -o link | wc -l"), "1\n", "interfaces left behind");
    });
}

#[test]
fn a_clients_service_feeds_its_watchdog_and_keeps_its_sockets() {
    let test = "a_clients_service_feeds_its_watchdog_and_keeps_its_sockets";
    let Some(client) = compile("tests/clients/device.c", "fed", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let service = Service::new(&machine, &client, &ONE);
        let hosted = service.up();
        let sockets = || sh(&format!("ls {}/*.io0", machine.path("run/umnet").display()));
        let socket = sockets();
        let fed = || service.manager.told().watchdog;
        let (before, looks) = (fed(), 3);
        std::thread::sleep(WATCHDOG * looks);
        let (fed, looks) = (fed() - before, usize::try_from(looks).expect("few"));
        assert!((looks..=2 * looks + 1).contains(&fed), "{fed} in {looks} s");
        let line = format!(
            "fed: driven by host {}, 0 restarts",
            service.status()["host"]["pid"]
        );
        assert_eq!(service.manager.told().status.last(), Some(&line));
        hosted.end_by(Signal::KILL);
        let hosted = service.up();
        assert_eq!(sockets(), socket, "its name stays");
        UnixStream::connect(socket.trim()).expect("somebody listens");
        assert_eq!(hosted.stop().code, 0);
        assert_eq!(service.kept(), [""; 0]);
        assert_eq!(service.manager.told().stopping, 1);
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}

#[test]
fn what_a_client_is_lent_is_kept_before_it_hears_of_it() {
    let test = "what_a_client_is_lent_is_kept_before_it_hears_of_it";
    let Some(client) = compile("tests/clients/device.c", "lent", &["SLOW=4000"]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let service = Service::new(&machine, &client, &ONE);
        let mut command = service.manager.command(&service.words, WATCHDOG);
        let mut hosted = Hosted::start_as(&machine, &mut command);
        hosted.wait_for("adapter 0: interface left");
        // The device's socket comes once it runs.
        wait_until("nothing is kept", || service.kept() == ["fd0", "state"]);
        let said = hosted.said();
        assert!(!said.contains(" device(s) with "), "they run: {said}");
        let before = interface();
        hosted.end_by(Signal::KILL);
        let hosted = service.up();
        assert_eq!(interface(), before);
        assert_eq!(hosted.stop().code, 0);
        assert_eq!(service.kept(), [""; 0]);
    });
}

#[test]
fn what_was_kept_of_another_client_is_closed() {
    let test = "what_was_kept_of_another_client_is_closed";
    let (Some(one), Some(other)) = (
        compile("tests/clients/device.c", "one", &[]),
        compile("tests/clients/device.c", "other", &[]),
    ) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let mut service = Service::new(&machine, &one, &ONE);
        service.up().end_by(Signal::KILL);
        let before = interface();
        service.words = Hosted::words(&machine, &other, &ONE);
        let hosted = service.up();
        assert_ne!(interface(), before);
        assert_eq!(service.kept(), ["fd0", "fd1", "state"]);
        assert_eq!(hosted.stop().code, 0);
    });
}
