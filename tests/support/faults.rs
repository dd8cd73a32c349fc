//! The faults that the faulty example knows, read from its lists.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clients::Hosted;
use super::machine::{Machine, Outcome};
use super::namespace::sh;

/// Runs at a time; each mostly waits.
const LANES: usize = 4;
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// The sources of the client.
pub(crate) const FAULTY: [&str; 6] = [
    "netadapter-shim/examples/faulty/faulty.c",
    "netadapter-shim/examples/faulty/calls.c",
    "netadapter-shim/examples/faulty/capabilities.c",
    "netadapter-shim/examples/faulty/queues.c",
    "netadapter-shim/examples/faulty/rings.c",
    "netadapter-shim/examples/faulty/pace.c",
];

/// One fault: how it is called, and the moments at which it acts.
pub(crate) struct Fault {
    pub(crate) name: String,
    source: &'static str,
    moments: Vec<String>,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// It left files in the run folder.
    pub(crate) left: bool,
}

/// Hosts the client with each fault until the run ends, or, once it is up or `is_over` by what it
/// said, is asked to. `judge` has nothing to say of any, and the machine has the interfaces it had.
pub(crate) fn host_all(
    client: &Path,
    args: &[&str],
    faults: &[Fault],
    is_over: fn(&Fault, &str) -> bool,
    judge: impl Fn(&Fault, &Ended) -> Option<String> + Sync,
) {
    let interfaces = sh("ip -o link");
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (next, complaints, judge) = (&next, &complaints, &judge);
            scope.spawn(move || {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ended = fault.host(client, args, lane, is_over);
                    if let Some(why) = judge(fault, &ended) {
                        let mut complaints = complaints.lock().unwrap();
                        complaints.push(format!("FAULT {}: {why}", fault.name));
                    }
                }
            });
        }
    });
    let complaints: Vec<String> = complaints.into_inner().unwrap();
    println!("{} faults, {} complaints", faults.len(), complaints.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let afterwards = sh("ip -o link");
    assert_eq!(afterwards, interfaces, "the interfaces of this machine");
}

/// Whether all devices run, or the run has failed.
pub(crate) fn is_up_or_failed(said: &str) -> bool {
    [" device(s) with ", "umnet: "]
        .iter()
        .any(|words| said.contains(words))
}

fn wait_until(mut come: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !come() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends enough frames to go round the ring; the interface may go away meanwhile.
pub(crate) fn send_frames(ifname: &str, lane: usize) {
    sh(&format!(
        "(ip link set {ifname} up; ip addr add 10.9.{lane}.1/24 dev {ifname}; \
          ip neigh add 10.9.{lane}.2 lladdr 02:00:00:00:00:02 dev {ifname}; \
          ping -q -c 200 -i 0.002 -W 0.1 10.9.{lane}.2) >/dev/null 2>&1 || true"
    ));
}

/// All of them, each once.
pub(crate) fn all() -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for source in FAULTY {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let text = fs::read_to_string(path).expect("the example");
        for (name, moment) in text.lines().filter_map(entry) {
            match faults.iter_mut().find(|fault| fault.name == name) {
                Some(fault) => fault.moments.push(moment),
                None => faults.push(Fault {
                    name,
                    source,
                    moments: vec![moment],
                }),
            }
        }
    }
    assert!(faults.len() > 100, "the lists are not read");
    faults
}

/// `    { "Name", AT_MOMENT, Function },`
fn entry(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("    { \"")?;
    let (name, rest) = rest.split_once("\", ")?;
    let (moment, _) = rest.split_once(',')?;
    Some((name.to_owned(), moment.to_owned()))
}

impl Fault {
    /// The code as the run prints it.
    pub(crate) fn code(&self) -> String {
        let name = self.name.split('/').next().unwrap_or_default();
        match name.starts_with("WDF_") {
            true => name.to_owned(),
            false => format!("FailureCode_{name}"),
        }
    }

    fn host(
        &self,
        client: &Path,
        args: &[&str],
        lane: usize,
        is_over: fn(&Fault, &str) -> bool,
    ) -> Ended {
        let machine = Machine::new();
        let stem = client.file_stem().unwrap_or_default().display();
        // The first broken rule ends the run, and not the client host alone.
        let at_once = "[defaults.restart]\ngive_up_after = 0\nfallback = \"kernel\"\n";
        let text = format!("{at_once}[client.{stem}]\nFault = \"{}\"\n", self.name);
        machine.file("umnet.toml", &text);
        let config = machine.path("umnet.toml").display().to_string();
        let ifname = format!("faulty{lane}");
        let own = [
            "--ifname",
            &ifname,
            "--config",
            &config,
            "--client-timeout",
            "4",
        ];
        let hosted = Hosted::start(&machine, client, &[&own[..], args].concat());
        if self.needs_frames() {
            wait_until(|| is_up_or_failed(&hosted.said()));
            send_frames(&ifname, lane);
        }
        wait_until(|| is_over(self, &hosted.said()));
        let outcome = hosted.stop_if_running();
        let left = machine.path("run/umnet").exists();
        Ended { outcome, left }
    }

    /// Some faults are answered with a status only.
    pub(crate) fn has_a_code(&self) -> bool {
        !self.name.starts_with('-')
    }

    /// It harms nobody: the run goes on, and the line is a warning.
    pub(crate) fn is_advice(&self) -> bool {
        ["ShimNotifyOutsideStart", "ShimLinkStateNeverSet"].contains(&self.name.as_str())
    }

    fn acts_at(&self, moment: &str) -> bool {
        self.moments.iter().any(|known| known == moment)
    }

    /// It spoils the rings or what lies in them.
    pub(crate) fn is_of_a_ring(&self) -> bool {
        self.source.ends_with("rings.c")
    }

    /// Which of the two queues it acts on.
    pub(crate) fn direction(&self) -> &'static str {
        match self
            .moments
            .iter()
            .any(|moment| moment.starts_with("AT_TX"))
        {
            true => "tx",
            false => "rx",
        }
    }

    /// It is seen only when something is sent.
    pub(crate) fn needs_frames(&self) -> bool {
        self.acts_at("AT_TX_ADVANCE")
    }

    /// It is seen only when the run is asked to end.
    pub(crate) fn acts_at_the_end(&self) -> bool {
        let at_the_end = ["AT_TX_CANCEL", "AT_RX_CANCEL", "AT_D0_EXIT"];
        self.is_advice() || at_the_end.iter().any(|moment| self.acts_at(moment))
    }
}
