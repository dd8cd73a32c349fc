//! Frames that only pass through the guest, and frames with a VLAN tag.

use std::time::Duration;
use vm_test::{Backend, Error, Guest, HostNet, Machine, Nic, Umnet, scenario};

const SOON: Duration = Duration::from_secs(10);
/// Link header and MTU.
const MAX_FRAME: usize = 1514;

/// What was on the wire: the frames of a pcap file, each without the `header` that QEMU left before it.
fn frames(pcap: &[u8], header: usize) -> Vec<&[u8]> {
    let mut rest = &pcap[24..];
    let mut frames = Vec::new();
    while let Some(head) = rest.get(..16) {
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some(frame) = rest.get(16..16 + len) else {
            break;
        };
        frames.push(frame.get(header..).unwrap_or_default());
        rest = &rest[16 + len..];
    }
    frames
}

/// The ones' complement sum of RFC 1071, folded; 0xffff over data with a right checksum.
fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let total: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .fold(0, |sum, word| {
            let sum = sum + word;
            (sum & 0xffff) + (sum >> 16)
        });
    u16::try_from((total & 0xffff) + (total >> 16)).unwrap_or(u16::MAX)
}

/// Frames of one protocol, and how many of them carry a wrong checksum or are too long.
#[derive(Debug, Default, PartialEq)]
struct Verdict {
    seen: usize,
    wrong: usize,
}

/// Looks at all IPv4 frames of a transport protocol that come from `source`.
fn judge(frames: &[&[u8]], protocol: u8, source: [u8; 4]) -> Verdict {
    let mut verdict = Verdict::default();
    for frame in frames {
        let is_ours = frame.len() > 34
            && frame[12..14] == [0x08, 0]
            && frame[23] == protocol
            && frame[26..30] == source;
        if !is_ours {
            continue;
        }
        let header = usize::from(frame[14] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let (ip, transport) = frame[14..14 + total].split_at(header);
        let len = u16::try_from(transport.len())
            .unwrap_or_default()
            .to_be_bytes();
        let pseudo = [&ip[12..20], &[0, protocol], &len].concat();
        let right = sum(&[ip]) == 0xffff && sum(&[&pseudo, transport]) == 0xffff;
        verdict.seen += 1;
        verdict.wrong += usize::from(!right || frame.len() > MAX_FRAME);
    }
    verdict
}

/// One transfer between two namespaces of the guest, or from the host, both ends in agreement.
fn transfer(from: &impl Runs, to: &Guest, address: &str, bytes: u32) {
    let mut sink = to
        .spawn(&format!(
            "exec guest-runner traffic receive --listen {address}"
        ))
        .unwrap();
    to.ok("sleep 0.3");
    let sent = from.runner(&format!("traffic send --to {address} --bytes {bytes}"));
    let got = sink.wait(SOON).unwrap().into_stdout().unwrap();
    let [sent, got] = [sent, got]
        .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap()["xxh3_128"].clone());
    assert!(sent.is_string() && sent == got, "{sent} and {got}");
}

/// Where the traffic tools run.
trait Runs {
    /// Runs the tools with these words; their standard output.
    fn runner(&self, words: &str) -> String;
}

impl Runs for Guest {
    fn runner(&self, words: &str) -> String {
        self.ok(&format!("guest-runner {words}"))
    }
}

impl Runs for HostNet {
    fn runner(&self, words: &str) -> String {
        let ours = std::env::var("GUEST_RUNNER_BIN").unwrap_or_else(|_| host_runner());
        self.ok(&format!("{ours} {words}"))
    }
}

/// The static program that also runs in the guest.
fn host_runner() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("target/x86_64-unknown-linux-gnu/release/guest-runner");
    path.display().to_string()
}

/// The host's TCP and UDP leave a TAP with checksums that are only begun and segments that are
/// not cut. The guest routes them to a third host over a card that can do neither.
#[test]
fn forwarded_frames_reach_a_third_host_with_right_checksums() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        host.tap("tap0", 1)?;
        host.ok("ip addr add 10.1.0.2/24 dev tap0; ip route add 10.2.0.0/24 via 10.1.0.1");
        let vm = lab.boot(
            Machine::new()
                .nic(Nic::new("in", Backend::tap("tap0")))
                .nic(Nic::new("out", Backend::hub(0)))
                .nic(Nic::new("third", Backend::hub(0)).dump())
                .inside(&host),
        )?;
        let guest = &vm.guest;
        let (third, name) = vm.set_apart("third", "third")?;
        third.ok(&format!(
            "ip addr add 10.2.0.3/24 dev {name}; ip link set {name} up; \
             ip route add default via 10.2.0.1"
        ));
        for (nic, address) in [("in", "10.1.0.1/24"), ("out", "10.2.0.1/24")] {
            let name = vm.ifname(nic)?;
            guest.ok(&format!(
                "ip addr add {address} dev {name}; ip link set {name} up"
            ));
        }
        guest.ok("echo 1 > /proc/sys/net/ipv4/ip_forward");
        let inner = Umnet::run(&vm, "in", "")?;
        let features = inner.status()?["features"].to_string();
        assert!(
            features.contains("GUEST_CSUM") && features.contains("GUEST_TSO4"),
            "{features}"
        );

        // Out over the kernel's driver, then over a second umnet.
        for outer in ["kernel", "umnet"] {
            let outer = match outer {
                "umnet" => Some(Umnet::run(&vm, "out", "")?),
                _ => None,
            };
            guest.eventually("ping -c 1 -W 1 10.2.0.3", SOON);
            transfer(&host, &third, "10.2.0.3:5001", 4 << 20);
            let mut echo = third
                .spawn("exec guest-runner traffic udp-echo --listen 10.2.0.3:5002 --seconds 4")?;
            third.ok("sleep 0.3");
            host.runner("traffic udp-check --to 10.2.0.3:5002 --sizes 1,59,512,1472");
            let _ = echo.wait(SOON)?;
            if let Some(outer) = outer {
                outer.stop()?;
            }
        }
        // The receiver drops what is wrong: the wire tells.
        let pcap = std::fs::read(lab.directory().join("third.pcap")).unwrap();
        let [tcp, udp] = [6, 17].map(|protocol| judge(&frames(&pcap, 0), protocol, [10, 1, 0, 2]));
        assert!(tcp.seen > 5000 && tcp.wrong == 0, "TCP: {tcp:?}");
        assert!(udp.seen >= 32 && udp.wrong == 0, "UDP: {udp:?}");
        inner.stop()?;
        Ok(())
    });
}

/// Two TAPs of the host on one bridge, or why that is not possible.
fn bridged(host: &HostNet) -> vm_test::Result<()> {
    host.tap("tap0", 1)?;
    host.tap("tap1", 1)?;
    let bridge = "ip link add br0 type bridge && ip link set tap0 master br0 && \
                  ip link set tap1 master br0 && ip link set br0 up";
    match host.run(bridge)? {
        made if made.success() => Ok(()),
        refused => Err(Error::Unavailable(refused.story())),
    }
}

/// Gives `guest` an interface for VLAN 7 on top of `card`.
fn tagged(guest: &Guest, card: &str, address: &str) {
    guest.ok(&format!(
        "modprobe 8021q; ip link set {card} up; \
         ip link add link {card} name {card}.7 type vlan id 7; \
         ip addr add {address}/24 dev {card}.7; ip link set {card}.7 up"
    ));
}

/// Tagged frames, full-sized, both ways between umnet and the kernel's driver: over a hub, which
/// has no offloads, and over TAPs, which have.
#[test]
fn vlan_tagged_frames_pass_with_and_without_offloads() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        bridged(&host)?;
        let vm = lab.boot(
            Machine::new()
                .nic(Nic::new("poor", Backend::hub(0)))
                .nic(Nic::new("poor-far", Backend::hub(0)).dump())
                .nic(Nic::new("rich", Backend::tap("tap0")))
                .nic(Nic::new("rich-far", Backend::tap("tap1")).dump())
                .inside(&host),
        )?;
        let guest = &vm.guest;
        for nic in ["poor", "rich"] {
            let (far, card) = vm.set_apart(&format!("{nic}-far"), nic)?;
            tagged(&far, &card, "10.0.7.2");
            let umnet = Umnet::run(&vm, nic, "")?;
            let ours = umnet.ifname();
            tagged(guest, ours, "10.0.7.1");

            guest.eventually("ping -c 1 -W 1 10.0.7.2", SOON);
            guest.ok("ping -c 2 -i 0.2 -W 2 -s 1472 10.0.7.2");
            transfer(&far, guest, "10.0.7.1:5001", 8 << 20);
            transfer(guest, &far, "10.0.7.2:5001", 8 << 20);
            let stats = umnet.stats()?["total"].clone();
            let errors = stats.as_object().into_iter().flatten();
            let errors: Vec<_> = errors
                .filter(|(name, count)| name.ends_with("errors") && **count != 0)
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
            umnet.stop()?;

            // The far card sees no frame of ours without the tag.
            let pcap = std::fs::read(lab.directory().join(format!("{nic}-far.pcap"))).unwrap();
            let header = if nic == "rich" { lab.dump_header() } else { 0 };
            let frames = frames(&pcap, header);
            let tags = frames.iter().filter_map(|frame| frame.get(12..16));
            let tagged = tags.filter(|tag| *tag == [0x81, 0, 0, 7]).count();
            // Segments that the offloads leave whole are few.
            assert!(tagged > 200, "{tagged} tagged frames");
            assert_eq!(judge(&frames, 6, [10, 0, 7, 1]).seen, 0);
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_is_seen() {
        // UDP from 10.1.0.2 to 10.2.0.3, one byte.
        let mut frame = vec![0; 14];
        frame[12..14].copy_from_slice(&[0x08, 0]);
        frame.extend([
            0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 2, 10, 2, 0, 3,
        ]);
        frame.extend([0, 1, 0, 2, 0, 9, 0, 0, 0x55]);
        let header = !sum(&[&frame[14..34]]);
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        let pseudo = [10, 1, 0, 2, 10, 2, 0, 3, 0, 17, 0, 9];
        let transport = !sum(&[&pseudo, &frame[34..]]);
        frame[40..42].copy_from_slice(&transport.to_be_bytes());
        let pcap = |frame: &[u8]| {
            let len = u32::try_from(frame.len()).unwrap().to_le_bytes();
            [&[0; 24][..], &[0; 8], &len, &len, frame].concat()
        };
        let judged = |frame: &[u8]| judge(&frames(&pcap(frame), 0), 17, [10, 1, 0, 2]);
        assert_eq!(judged(&frame), Verdict { seen: 1, wrong: 0 });
        frame[42] ^= 1;
        assert_eq!(judged(&frame), Verdict { seen: 1, wrong: 1 });
    }
}
