use super::*;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// A runner at the other end of a socket.
struct Host {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    last_id: u64,
}

impl Host {
    fn new() -> Self {
        let (host, guest) = UnixStream::pair().unwrap();
        let guest_reader = BufReader::new(guest.try_clone().unwrap());
        std::thread::spawn(move || session(guest_reader, guest));
        Self {
            reader: BufReader::new(host.try_clone().unwrap()),
            writer: host,
            last_id: 0,
        }
    }

    fn ask(&mut self, call: Call, body: &[u8]) -> u64 {
        self.last_id += 1;
        let request = Request {
            id: self.last_id,
            call,
            body_len: body.len(),
        };
        protocol::send(&mut self.writer, &request, body).unwrap();
        self.last_id
    }

    fn next_reply(&mut self) -> (Reply, Vec<u8>) {
        protocol::receive(&mut self.reader).unwrap()
    }

    fn call(&mut self, call: Call, body: &[u8]) -> (Answer, Vec<u8>) {
        let id = self.ask(call, body);
        let (reply, body) = self.next_reply();
        assert_eq!(reply.id, id);
        (reply.answer, body)
    }
}

fn shell(line: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-c".into(), line.into()]
}

fn run(line: &str, timeout_ms: u64) -> Call {
    Call::Run {
        argv: shell(line),
        timeout_ms,
    }
}

fn finished(ending: Ending, stdout_len: usize) -> Answer {
    Answer::Finished { ending, stdout_len }
}

#[test]
fn exit_code_output_and_input_come_through() {
    let mut host = Host::new();
    let answer = host.call(run("cat; echo no >&2; exit 3", 10_000), b"in\0put");
    assert_eq!(
        answer,
        (finished(Ending::Code(3), 6), b"in\0putno\n".to_vec())
    );
}

#[test]
fn a_command_past_its_time_is_killed_with_its_children() {
    let mut host = Host::new();
    let start = Instant::now();
    let (answer, body) = host.call(run("echo begun; sleep 60 & echo $!; wait", 300), b"");
    assert!(
        matches!(
            answer,
            Answer::Finished {
                ending: Ending::TimedOut,
                ..
            }
        ),
        "{answer:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    let text = String::from_utf8(body).unwrap();
    let child = text.lines().nth(1).expect("the output so far is kept");
    let (answer, _) = host.call(run(&format!("for i in 1 2 3 4 5; do [ -e /proc/{child} ] || exit 0; grep -q 'State:.Z' /proc/{child}/status && exit 0; sleep 1; done; exit 1"), 10_000), b"");
    assert_eq!(
        answer,
        finished(Ending::Code(0), 0),
        "the child is gone too"
    );
}

#[test]
fn a_daemon_left_behind_does_not_hold_up_the_answer() {
    let mut host = Host::new();
    let start = Instant::now();
    let (answer, body) = host.call(run("sleep 5 & echo started", 4_000), b"");
    assert_eq!(
        (answer, body.as_slice()),
        (finished(Ending::Code(0), 8), &b"started\n"[..])
    );
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn calls_run_side_by_side() {
    let mut host = Host::new();
    let slow = host.ask(run("sleep 0.5", 10_000), b"");
    let fast = host.ask(run("true", 10_000), b"");
    assert_eq!(host.next_reply().0.id, fast);
    assert_eq!(host.next_reply().0.id, slow);
}

#[test]
fn a_background_job_is_signalled_and_waited_for_once() {
    let mut host = Host::new();
    let (answer, _) = host.call(
        Call::Spawn {
            argv: shell("exec 2>/dev/null; trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"),
        },
        b"",
    );
    let Answer::Spawned { job } = answer else {
        panic!("{answer:?}")
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (answer, body) = host.call(
            Call::Wait {
                job,
                timeout_ms: 20,
            },
            b"",
        );
        assert!(
            matches!(
                answer,
                Answer::Finished {
                    ending: Ending::TimedOut,
                    ..
                }
            ),
            "{answer:?}"
        );
        if body == b"up\n" {
            break;
        }
        assert!(Instant::now() < deadline, "the job never spoke");
    }
    assert_eq!(
        host.call(Call::Signal { job, signal: 15 }, b"").0,
        Answer::Done
    );
    let (answer, body) = host.call(
        Call::Wait {
            job,
            timeout_ms: 10_000,
        },
        b"",
    );
    assert_eq!(
        (answer, body.as_slice()),
        (finished(Ending::Code(7), 7), &b"up\nbye\n"[..])
    );
    let (answer, _) = host.call(
        Call::Wait {
            job,
            timeout_ms: 10,
        },
        b"",
    );
    assert_eq!(
        answer,
        Answer::Failed {
            why: format!("there is no job {job}")
        }
    );
}

#[test]
fn files_come_back_as_written() {
    let mut host = Host::new();
    let path = std::env::temp_dir().join(format!("guest-runner-file.{}", std::process::id()));
    let path = path.to_str().unwrap().to_string();
    let write = Call::WriteFile {
        path: path.clone(),
        mode: 0o600,
    };
    assert_eq!(host.call(write, b"\0\xff\n").0, Answer::Done);
    assert_eq!(
        host.call(Call::ReadFile { path: path.clone() }, b""),
        (Answer::Done, b"\0\xff\n".to_vec())
    );
    std::fs::remove_file(&path).unwrap();
    let (answer, _) = host.call(Call::ReadFile { path: path.clone() }, b"");
    assert!(
        matches!(&answer, Answer::Failed { why } if why.starts_with(&path)),
        "{answer:?}"
    );
}

#[test]
fn a_missing_program_is_named() {
    let mut host = Host::new();
    let (answer, _) = host.call(
        Call::Run {
            argv: vec!["/no/such".into()],
            timeout_ms: 100,
        },
        b"",
    );
    assert!(
        matches!(&answer, Answer::Failed { why } if why.starts_with("/no/such: ")),
        "{answer:?}"
    );
}
