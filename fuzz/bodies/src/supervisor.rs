//! What a driver host can write to its supervisor: any bytes, any descriptors, in any order.
//!
//! Whatever comes, texts are fit for a terminal, an excuse has an end, counters never go back and
//! do not fill the memory, and no descriptor stays.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use umnet::channel::{Channel, ChannelError, FromHost};
use umnet::run::Board;
use umnet::run::hearing::{LONGEST_EXCUSE, LONGEST_TEXT, Lead, Speaker, weigh};
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use crate::input::Input;

/// Most messages of one input.
const MESSAGES: usize = 32;

/// How long somebody else may hold a socket that is closed here.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// Runs one input: messages, each behind two bits of who speaks, six of how many descriptors come
/// with it, and its length.
pub fn run(data: &[u8]) {
    let (channel, host) = Channel::pair().expect("a pair of sockets");
    let host = UnixDatagram::from(host);
    let mut input = Input::new(data);
    let mut board = Board::default();
    for _ in 0..MESSAGES {
        if input.is_empty() {
            break;
        }
        let (how, len) = (input.u8(), input.u16());
        let message = input.take(len.into());
        let received = carry(&channel, &host, message, usize::from(how >> 2) * 2);
        let ends = received.is_none() || how & 2 != 0;
        if let Some(message) = received {
            hear(&mut board, message, how);
        }
        // What is no message ends the host, and another one goes on.
        if ends {
            board.bank();
        }
    }
}

/// Has the host write a message, and the supervisor read it.
fn carry(
    channel: &Channel,
    host: &UnixDatagram,
    bytes: &[u8],
    descriptors: usize,
) -> Option<FromHost> {
    let (mut kept, carried) = UnixStream::pair().expect("a pair of sockets");
    let fds = vec![carried.as_raw_fd(); descriptors];
    host.send_with_fds(&[bytes], &fds)
        .expect("the socket has room");
    drop(carried);
    let received = channel.receive::<FromHost>();
    let message = match received {
        Ok(message) => message.expect("a message was sent").0,
        Err(ChannelError::Nonsense(_) | ChannelError::Closed) => {
            assert_gone(&mut kept);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    assert_gone(&mut kept);
    Some(message)
}

/// What came with a message is closed by now, or will be in a moment: whoever looks through
/// `/proc/PID/fd` holds what is there meanwhile.
fn assert_gone(kept: &mut UnixStream) {
    kept.set_read_timeout(Some(CLOSED_WITHIN))
        .expect("a socket");
    match kept.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("a descriptor stays: {other:?}"),
    }
}

fn hear(board: &mut Board, message: FromHost, how: u8) {
    let speaker = match how & 1 {
        0 => Speaker::Active,
        _ => Speaker::Spare,
    };
    match weigh(message, speaker) {
        Lead::Ready { version, cage } => {
            assert_eq!(speaker, Speaker::Spare);
            assert_printable(&version);
            assert_printable(&cage);
        }
        Lead::Started(report) | Lead::Changed(report) => {
            let before = board.resets();
            let told = report.resets;
            board.note(*report);
            assert!(board.resets() >= told.min(before));
        }
        Lead::Alive { counters, .. } | Lead::Counted(counters) | Lead::Stopped(counters) => {
            let before = board.total();
            let _ = board.count(counters);
            assert_sound(board, &before);
        }
        Lead::Excused(time) => assert!(time <= LONGEST_EXCUSE),
        Lead::Failed(failure) => {
            assert_printable(&failure.why);
            if let Some(next) = &failure.next {
                assert_printable(next);
            }
        }
        Lead::Happened(Err(why)) => assert_printable(&why),
        Lead::Happened(Ok(())) => {}
        Lead::Announce => assert_eq!(speaker, Speaker::Active),
        Lead::GivenUp(text) | Lead::Refused(text) => assert_printable(&text),
        Lead::Answer(_) => assert_eq!(speaker, Speaker::Active),
    }
}

fn assert_printable(text: &str) {
    assert!(text.chars().count() <= LONGEST_TEXT, "{text}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn assert_sound(board: &Board, before: &BTreeMap<String, u64>) {
    let total = board.total();
    for (name, value) in before {
        assert!(total[name] >= *value, "{name} goes back");
    }
    let queues = board.queues();
    assert!(queues.len() <= 256, "{} queues", queues.len());
    for queue in &queues {
        assert!(queue.counters.len() <= 64, "{}", queue.counters.len());
        let names = std::iter::once(&queue.queue).chain(queue.counters.keys());
        for name in names {
            assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
