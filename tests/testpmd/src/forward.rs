//! testpmd between two ports: what comes out of one goes into the other, both ways, on one core.

use crate::{RING, environment};

/// TCP frames in one piece, and TCP and UDP checksums that are only begun, as DPDK numbers what a
/// port may do with frames that are received.
const RECEIVING: u32 = 1 << 4 | 1 << 3 | 1 << 2;
/// Multi-segment frames, TCP segmentation, TCP and UDP checksums, as DPDK numbers what a port is
/// asked to do with frames that are sent.
const SENDING: u32 = 1 << 15 | 1 << 5 | 1 << 3 | 1 << 2;
/// TCP payload of a frame of 1,514 bytes, with timestamps, as Linux sends it.
const SEGMENT: u32 = 1448;
/// Memory buffers of its pool, of testpmd's ordinary size.
const BUFFERS: u32 = 16_384;
/// The same where frames of 64 KiB come, and the bytes of each: such a frame takes two. Of the
/// ordinary size it takes thirty-one, and TCP goes at a third of the rate.
const LARGE_BUFFERS: u32 = 3000;
const LARGE_BUFFER_BYTES: u32 = 34 << 10;

/// Its command line. Nothing moves before [`preparations`] and [`START`].
///
/// With `offloads` both ports receive checksums that are only begun and TCP frames of up to 64 KiB,
/// and the engine that knows of these (`csum`) has the other port finish them. Without, frames are
/// passed on unread (`io`).
pub fn command_line(
    program: &str,
    processor: usize,
    ports: &[&str],
    offloads: bool,
) -> Vec<String> {
    let mut words = environment(program, processor, ports);
    words.extend(["--interactive", "--disable-device-start", "--no-mlockall"].map(str::to_owned));
    words.extend([format!("--rxd={RING}"), format!("--txd={RING}")]);
    match offloads {
        true => words.extend([
            format!("--total-num-mbufs={LARGE_BUFFERS}"),
            format!("--mbuf-size={LARGE_BUFFER_BYTES}"),
            "--forward-mode=csum".to_owned(),
            format!("--rx-offloads={RECEIVING:#x}"),
            format!("--tx-offloads={SENDING:#x}"),
        ]),
        false => words.extend([
            format!("--total-num-mbufs={BUFFERS}"),
            "--forward-mode=io".to_owned(),
        ]),
    }
    words
}

/// Commands to be given once, before the first [`START`].
pub fn preparations(offloads: bool) -> Vec<String> {
    let of_port = |port: u32| {
        [
            format!("tso set {SEGMENT} {port}"),
            format!("csum mac-swap off {port}"),
        ]
    };
    let mut commands = match offloads {
        true => [0, 1].map(of_port).concat(),
        false => Vec::new(),
    };
    commands.push("port start all".to_owned());
    commands
}

/// The command on which frames are passed on, by a core that looks for them all the time.
pub const START: &str = "start";
/// The command after which the core is at rest.
pub const STOP: &str = "stop";
/// What it says when it has done as told.
pub const PROMPT: &str = "testpmd>";

#[cfg(test)]
mod tests {
    use super::*;

    fn line(offloads: bool) -> String {
        command_line("testpmd", 0, &["-a", "0000:00:03.0"], offloads).join(" ")
    }

    #[test]
    fn offloads_are_asked_for_on_both_ways_or_not_at_all() {
        let with = line(true);
        for word in [
            "--forward-mode=csum",
            "--rx-offloads=0x1c",
            "--tx-offloads=0x802c",
        ] {
            assert!(with.contains(word), "{with}");
        }
        let without = line(false);
        assert!(without.ends_with("--forward-mode=io"), "{without}");
        assert!(!without.contains("offloads"), "{without}");
    }

    #[test]
    fn addresses_stay_as_they_are_and_both_ports_are_started_last() {
        let commands = preparations(true);
        for port in [0, 1] {
            assert!(commands.contains(&format!("csum mac-swap off {port}")));
            assert!(commands.contains(&format!("tso set 1448 {port}")));
        }
        assert_eq!(
            commands.last().map(String::as_str),
            preparations(false).first().map(String::as_str)
        );
    }
}
