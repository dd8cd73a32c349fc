//! DPDK doing umnet's job: testpmd forwards between a card and a TAP, which it makes through
//! virtio-user with the kernel's vhost-net on the other side.
//!
//! Its core looks for frames all the time, so it is set to work for its own turns only.

use std::time::Duration;

use testpmd::RING;
use testpmd::forward::{self, PROMPT, START, STOP};
use vm_test::dpdk::{self, Dpdk};
use vm_test::{Error, Guest, Job, Mac, Result};

/// What its interface is called.
pub(crate) const IFNAME: &str = "dt0";
/// What it reads and what it writes.
const SAYS: &str = "/tmp/testpmd.out";
const HEARS: &str = "/tmp/testpmd.in";
/// Where it shares the only processor with those it works for. At 0 half of the time goes into looks
/// at empty rings, at 19 it comes too late.
const NICE: u32 = 10;
/// Guest time within which it is up: it takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running testpmd.
pub(crate) struct Forwarder {
    dpdk: Dpdk,
    /// In words.
    terms: String,
    guest: Guest,
    /// Killed when this goes.
    _job: Job,
}

/// Which card it forwards, and how.
pub(crate) struct Forwarding<'a> {
    pub(crate) pci: &'a str,
    pub(crate) mac: Mac,
    /// Of the guest; the last one carries it.
    pub(crate) processors: u16,
    pub(crate) offloads: bool,
}

impl Forwarding<'_> {
    fn terms(&self) -> String {
        let engine = match self.offloads {
            true => "csum, with checksums, LRO and TSO passed on both ways, buffers of 34 KiB",
            false => "io, no offloads",
        };
        let place = match self.processors {
            1 => format!("nice {NICE} on the only processor"),
            _ => "the last processor, others may use it too".to_owned(),
        };
        format!("testpmd, virtio-user on vhost-net, {engine}; {place}")
    }

    /// Words before its command.
    fn manners(&self) -> String {
        match self.processors {
            1 => format!("renice -n {NICE} -p $$ && "),
            _ => String::new(),
        }
    }
}

impl Forwarder {
    /// Takes the card from the kernel and has the TAP made; nothing is forwarded yet.
    pub(crate) fn start(guest: &Guest, what: &Forwarding) -> Result<Self> {
        let Forwarding { pci, mac, .. } = what;
        let dpdk = dpdk::install(guest)?;
        let vdev = format!(
            "--vdev=net_virtio_user0,path=/dev/vhost-net,iface={IFNAME},queues=1,queue_size={RING},mac={mac}"
        );
        let mut ports: Vec<&str> = dpdk.plugins.iter().map(String::as_str).collect();
        ports.extend(["-a", pci, &vdev]);
        let processor = usize::from(what.processors) - 1;
        let words = forward::command_line(&dpdk.command, processor, &ports, what.offloads);
        let line = format!(
            "modprobe -a vfio-pci vhost_net && umnet bind {pci} && mkfifo {HEARS} && \
             {}exec {} 0<>{HEARS} >{SAYS} 2>&1",
            what.manners(),
            words.join(" ")
        );
        let job = guest.spawn(&line)?;
        let forwarder = Self {
            dpdk,
            terms: what.terms(),
            guest: guest.clone(),
            _job: job,
        };
        forwarder.wait_for_prompt(0)?;
        for command in forward::preparations(what.offloads) {
            forwarder.tell(&command)?;
        }
        Ok(forwarder)
    }

    /// Frames are forwarded from now on, or no longer.
    pub(crate) fn forward(&self, on: bool) -> Result<()> {
        self.tell(if on { START } else { STOP })
    }

    /// What it is and how it works, for the report.
    pub(crate) fn details(&self) -> [(String, String); 2] {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        [
            own("dpdk", &self.dpdk.version),
            own("dpdk_forwards", &self.terms),
        ]
    }

    /// Everything it has said.
    fn words(&self) -> Result<String> {
        self.guest.run(&format!("cat {SAYS}"))?.into_stdout()
    }

    fn tell(&self, command: &str) -> Result<()> {
        let count = format!("grep -o '{PROMPT}' {SAYS} | wc -l");
        let prompts = self.guest.run(&count)?.into_stdout()?;
        let prompts = prompts.trim().parse().unwrap_or(0);
        self.guest
            .run(&format!("echo '{command}' >{HEARS}"))?
            .into_stdout()?;
        self.wait_for_prompt(prompts)
    }

    /// Waits until it has asked for commands more than `before` times.
    fn wait_for_prompt(&self, before: u32) -> Result<()> {
        let line = format!(
            "n=0; until [ $(grep -so '{PROMPT}' {SAYS} | wc -l) -gt {before} ]; do \
             n=$((n+1)); [ $n -le 1000 ] || exit 1; sleep 0.05; done"
        );
        if self.guest.run_for(&line, PATIENCE)?.success() {
            return Ok(());
        }
        let said = self.words()?;
        Err(Error::Command(format!("testpmd does not answer:\n{said}")))
    }
}
