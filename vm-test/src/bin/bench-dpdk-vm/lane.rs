//! How each driver is made to move frames, as lines for the guest's shell, and what they say.

use serde_json::Value;
use testpmd::{SHOW, Work, command_line, rates};
use vm_test::dpdk::Dpdk;
use vm_test::{Error, Result};

use crate::{Traffic, Way};

/// Frames in a second, in thousands.
type Kpps = f64;

/// Milliseconds before counting, for everybody.
pub(crate) const WARMUP: u64 = 300;

/// umnet drives a card that vfio-pci has.
pub(crate) fn umnet(
    pci: &str,
    traffic: Traffic,
    turn_ms: u64,
    busy_poll_us: Option<u16>,
) -> String {
    let way = match traffic.way {
        Way::Sent => "tx",
        Way::Received => "rx",
    };
    let len = traffic.len;
    let awake = busy_poll_us.map_or(String::new(), |us| format!(" --busy-poll-us {us}"));
    format!(
        "umnet bench drive {pci} {way}-{len} --warmup {WARMUP} --window {turn_ms}{awake} --json"
    )
}

pub(crate) fn umnets_words(text: &str) -> Result<Kpps> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| nonsense("umnet", text, &error))?;
    let number = |name: &str| value[name].as_f64().unwrap_or_default();
    if number("dropped") > 0.0 {
        return Err(nonsense("umnet", text, &"frames were dropped"));
    }
    Ok(number("frames") / number("seconds") / 1e3)
}

/// testpmd is talked to through a pipe: its start takes as long as it takes, and then it is asked
/// at the beginning and at the end of the time that counts.
pub(crate) fn dpdk(dpdk: &Dpdk, pci: &str, traffic: Traffic, turn_ms: u64) -> String {
    let work = match traffic.way {
        Way::Sent => Work::Send(traffic.len),
        Way::Received => Work::Receive,
    };
    let mut port: Vec<&str> = dpdk.plugins.iter().map(String::as_str).collect();
    port.extend(["-a", pci]);
    let command = command_line(&dpdk.command, 0, &port, work).join(" ");
    let (warmup, turn) = (seconds(WARMUP), seconds(turn_ms));
    format!(
        "rm -f /tmp/in /tmp/out; mkfifo /tmp/in; {command} </tmp/in >/tmp/out 2>&1 & pid=$!; \
         exec 3>/tmp/in; n=0; until grep -q 'testpmd>' /tmp/out; do n=$((n+1)); \
         if [ $n -gt 300 ] || ! kill -0 $pid; then cat /tmp/out; exit 1; fi; sleep 0.1; done; \
         sleep {warmup}; echo {SHOW} >&3; sleep {turn}; echo {SHOW} >&3; echo quit >&3; \
         wait $pid; code=$?; cat /tmp/out; exit $code"
    )
}

pub(crate) fn testpmds_words(text: &str, way: Way) -> Result<Kpps> {
    let answers = rates(text);
    let [_, during] = answers.as_slice() else {
        return Err(nonsense("testpmd", text, &"two answers were expected"));
    };
    let rate = match way {
        Way::Sent => during.sent,
        Way::Received => during.received,
    };
    Ok(rate as f64 / 1e3)
}

/// pktgen at its best: one buffer sent over and over, doorbells for batches.
pub(crate) fn pktgen(ifname: &str, traffic: Traffic, turn_ms: u64) -> String {
    let (len, warmup, turn) = (traffic.len, seconds(WARMUP), seconds(turn_ms));
    let settings = [
        "count 0".to_owned(),
        format!("pkt_size {len}"),
        "delay 0".to_owned(),
        "clone_skb 100000".to_owned(),
        "burst 32".to_owned(),
        "dst_mac 52:54:00:76:00:00".to_owned(),
    ];
    let settings = settings
        .map(|setting| format!("echo {setting} >$p/{ifname}; "))
        .concat();
    format!(
        "set -e; p=/proc/net/pktgen; echo rem_device_all >$p/kpktgend_0; \
         echo add_device {ifname} >$p/kpktgend_0; {settings} \
         (echo start >$p/pgctrl) & sleep {warmup}; {} echo stop >$p/pgctrl; wait",
        counted(ifname, "tx_packets", &turn)
    )
}

/// The kernel drops what it receives as soon as it has looked at it.
pub(crate) fn kernel_receives(ifname: &str, turn_ms: u64) -> String {
    let (warmup, turn) = (seconds(WARMUP), seconds(turn_ms));
    format!(
        "set -e; sleep {warmup}; {}",
        counted(ifname, "rx_packets", &turn)
    )
}

/// Two looks at a counter, each between two looks at the clock, with the time that counts in
/// between. Only the shell itself is at work: under a flood another program takes long to start.
fn counted(ifname: &str, counter: &str, turn: &str) -> String {
    let look = format!(
        "read u _ </proc/uptime; read n </sys/class/net/{ifname}/statistics/{counter}; \
         read v _ </proc/uptime; echo $u $n $v;"
    );
    format!("{look} sleep {turn}; {look}")
}

pub(crate) fn kernels_words(text: &str) -> Result<Kpps> {
    let looks: Vec<(f64, f64)> = text.lines().filter_map(look).collect();
    match looks.as_slice() {
        [(from, before), (to, after)] if to > from => Ok((after - before) / (to - from) / 1e3),
        _ => Err(nonsense("the kernel", text, &"two looks were expected")),
    }
}

/// When, and the counter: the middle of the times around it.
fn look(line: &str) -> Option<(f64, f64)> {
    let mut words = line.split_whitespace().map(str::parse::<f64>);
    let mut next = || words.next()?.ok();
    let (before, counter, after) = (next()?, next()?, next()?);
    Some(((before + after) / 2.0, counter))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn nonsense(who: &str, text: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Command(format!("{who} gave no figure ({why}): {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_counted_by_the_guests_clock() {
        let text = "100.50 1000 100.50\n100.98 51000 101.02\n";
        assert_eq!(kernels_words(text).unwrap(), 100.0);
        assert!(kernels_words("100.50 1000 100.50\n").is_err());
    }

    #[test]
    fn dropped_frames_are_no_figure() {
        let said =
            |dropped| format!("{{\"frames\": 50000, \"seconds\": 0.5, \"dropped\": {dropped}}}");
        assert_eq!(umnets_words(&said(0)).unwrap(), 100.0);
        assert!(umnets_words(&said(1)).is_err());
        assert!(umnets_words("umnet: no such device").is_err());
    }

    #[test]
    fn testpmd_is_judged_by_what_happened_between_its_two_answers() {
        let answer = |rate: u32| format!("  Rx-pps: 7 Rx-bps: 8\n  Tx-pps: {rate} Tx-bps: 9\n");
        let text = answer(5) + &answer(250_000);
        assert_eq!(testpmds_words(&text, Way::Sent).unwrap(), 250.0);
        assert_eq!(testpmds_words(&text, Way::Received).unwrap(), 0.007);
        assert!(testpmds_words(&answer(5), Way::Sent).is_err());
    }

    #[test]
    fn milliseconds_are_written_as_the_shell_wants_them() {
        assert_eq!([300, 1050].map(seconds), ["0.300", "1.050"]);
    }
}
