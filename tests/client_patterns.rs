//! What clients that were written for the kernel, and for Microsoft's compiler, take for granted:
//! small clients that do one such thing each, hosted by the built command.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::clients::{Hosted, compile};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};

#[test]
fn kernel_threads_and_locks_work_as_they_do_there() {
    let test = "kernel_threads_and_locks_work_as_they_do_there";
    let Some(client) = compile("tests/clients/kernel.c", "kernel", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let ended = Hosted::start(&machine, &client, &[]).end();
        assert!(ended.stderr.contains("kernel: 0 wrong"), "{ended:?}");
    });
}

#[test]
fn windows_threads_and_locks_work_as_they_do_there() {
    let test = "windows_threads_and_locks_work_as_they_do_there";
    let Some(client) = compile("tests/clients/runtime.c", "runtime", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let ended = Hosted::start(&machine, &client, &[]).end();
        assert!(ended.stderr.contains("runtime: 0 wrong"), "{ended:?}");
    });
}

#[test]
fn cplusplus_sources_may_take_microsofts_liberties() {
    let test = "cplusplus_sources_may_take_microsofts_liberties";
    let Some(client) = compile("tests/clients/lenient.cpp", "lenient", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let ended = Hosted::start(&machine, &client, &[]).end();
        assert!(
            ended.stderr.contains("lenient: all as on Windows"),
            "{ended:?}"
        );
    });
}

/// A program that has opened a client's control device.
struct Program(UnixStream);

impl Program {
    const READ: u32 = 3;
    const WRITE: u32 = 4;

    fn open(path: &PathBuf) -> Self {
        let stream = UnixStream::connect(path).expect("the control device's socket");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("timeout");
        Self(stream)
    }

    /// One request: status, information and output, or `None` if the file was closed.
    fn ask(&mut self, kind: u32, input: &[u8], room: u32) -> Option<(u32, u32, Vec<u8>)> {
        let length = u32::try_from(input.len()).expect("small");
        let header = [kind, 0, length, room].map(u32::to_le_bytes);
        self.0.write_all(header.as_flattened()).ok()?;
        self.0.write_all(input).ok()?;
        let mut header = [[0u8; 4]; 3];
        self.0.read_exact(header.as_flattened_mut()).ok()?;
        let [status, information, length] = header.map(u32::from_le_bytes);
        let mut output = vec![0; length as usize];
        self.0.read_exact(&mut output).ok()?;
        Some((status, information, output))
    }

    /// Answers this many echo requests that the system sends through the adapter.
    fn echo(&mut self, times: usize) {
        let mut answered = 0;
        while answered < times {
            let (status, length, frame) = self.ask(Self::READ, &[], 2048).expect("a frame");
            assert_eq!((status, length as usize), (0, frame.len()));
            let echo = frame.len() > 42 && frame[12..14] == [8, 0] && frame[23] == 1;
            if echo && frame[34] == 8 {
                let (status, _, _) = self.ask(Self::WRITE, &answer(frame), 0).expect("taken");
                assert_eq!(status, 0);
                answered += 1;
            }
        }
    }
}

/// Turns an ICMP echo request round. The checksum grows by what the type shrinks.
fn answer(mut frame: Vec<u8>) -> Vec<u8> {
    let (to, from) = frame.split_at_mut(6);
    to.swap_with_slice(&mut from[..6]);
    let (source, target) = frame[26..34].split_at_mut(4);
    source.swap_with_slice(target);
    frame[34] = 0;
    let (sum, carry) = u16::from_be_bytes([frame[36], frame[37]]).overflowing_add(0x800);
    frame[36..38].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
    frame
}

/// The socket of the client's only control device.
fn control(machine: &Machine) -> PathBuf {
    let folder = machine.path("run/umnet");
    let mut files = fs::read_dir(folder)
        .expect("run folder")
        .map(|file| file.expect("entry").path());
    files
        .find(|file| file.extension().is_some_and(|end| end == "control0"))
        .expect("a control device")
}

#[test]
fn a_program_is_the_other_end_through_a_control_device() {
    let test = "a_program_is_the_other_end_through_a_control_device";
    let Some(client) = compile("tests/clients/tap.cpp", "tap", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &["--ifname", "left"]);
        sh("ip addr add 192.0.2.1/24 dev left; \
            ip neigh add 192.0.2.2 lladdr 02:00:00:00:70:02 dev left");
        let path = control(&machine);
        let mut program = Program::open(&path);
        let ping = Command::new("ping")
            .args(["-c", "5", "-i", "0.05", "-W", "5", "192.0.2.2"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("ping");
        program.echo(5);
        let pinged = ping.wait_with_output().expect("ping");
        let pinged = String::from_utf8_lossy(&pinged.stdout).into_owned();
        assert!(pinged.contains(" 0% packet loss"), "{pinged}");
        let (status, _, _) = program
            .ask(Program::WRITE, &[0; 2000], 0)
            .expect("an answer");
        assert_eq!(status, 0xC000_0206, "too long a frame");
        assert_eq!(
            Program::open(&path).ask(Program::READ, &[], 64),
            None,
            "exclusive"
        );
        // A read that waits while the run ends is canceled and does not keep it.
        let waiting = thread::spawn(move || program.ask(Program::READ, &[], 10));
        let ended = hosted.stop();
        assert_eq!(ended.code, 0, "{ended:?}");
        drop(waiting.join().expect("reader"));
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    });
}
