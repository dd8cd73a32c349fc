#![allow(unsafe_code)] // plays the client

use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::door::foreign::Callback;
use crate::door::object;
use crate::door::wdf::device::tests::device;
use crate::door::wdf::io_queue::{DispatchType, IoQueue, QueueConfig};
use crate::door::wdf::request;
use crate::door::wdf::test_client::TestClient;

/// Answers a device control with its input in upper case, and keeps reads.
extern "C" fn control(_: Handle, handle: Handle, _output: usize, input: usize, code: u32) {
    assert_eq!(code, 0x22_2004);
    let found = request::checked("test", handle).unwrap();
    let shout = found.input.to_vec(input).to_ascii_uppercase();
    // SAFETY: every test asks for as much output as it sends input.
    unsafe {
        std::ptr::copy_nonoverlapping(shout.as_ptr(), found.output.pointer().cast(), input);
    }
    request::complete("test", handle, NtStatus::SUCCESS, Some(input));
}

static CANCELED: Mutex<u32> = Mutex::new(0);

extern "C" fn canceled(handle: Handle) {
    *CANCELED.lock().unwrap() += 1;
    request::complete("test", handle, NtStatus::CANCELLED, None);
}

extern "C" fn keep(_: Handle, handle: Handle, _length: usize) {
    let found = request::checked("test", handle).unwrap();
    found.state().cancel = Some(Callback::of(canceled));
}

struct Served {
    _client: TestClient,
    socket: Option<IoSocket>,
    path: PathBuf,
}

impl Served {
    fn new(name: &str) -> Self {
        let client = TestClient::new();
        let device = device(&client);
        let config = QueueConfig {
            size: 96,
            dispatch: DispatchType::PARALLEL,
            power_managed: io_queue::NOT_POWER_MANAGED,
            allow_zero_length: 0,
            default_queue: 1,
            default: None,
            read: Some(Callback::of(keep)),
            write: None,
            control: Some(Callback::of(control)),
            internal_control: None,
            stop: None,
            resume: None,
            canceled: None,
            presented: 0,
            driver: Handle::NULL,
        };
        let queue = IoQueue::new(device, config, None, true);
        let queue = object::create(object::Kind::IoQueue, Some(device), queue).unwrap();
        let found = crate::door::wdf::device::checked("test", device).unwrap();
        found.state().default_queue = Some(queue);
        let path = std::env::temp_dir().join(format!("umnet-io-{name}-{}", std::process::id()));
        let socket = IoSocket::listen(IoListener::bind(&path).unwrap(), device).unwrap();
        Self {
            _client: client,
            socket: Some(socket),
            path,
        }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }
}

fn send(mut stream: &UnixStream, kind: u32, input: &[u8], output: u32) {
    let length = u32::try_from(input.len()).unwrap();
    let header = [kind, 0x22_2004, length, output].map(u32::to_le_bytes);
    stream.write_all(header.as_flattened()).unwrap();
    stream.write_all(input).unwrap();
}

fn receive(mut stream: &UnixStream) -> (NtStatus, u32, Vec<u8>) {
    let mut header = [[0u8; 4]; 3];
    stream.read_exact(header.as_flattened_mut()).unwrap();
    let [status, information, length] = header.map(u32::from_le_bytes);
    let mut output = vec![0; length as usize];
    stream.read_exact(&mut output).unwrap();
    let status = NtStatus(i32::from_ne_bytes(status.to_ne_bytes()));
    (status, information, output)
}

#[test]
fn a_program_talks_to_a_client_through_the_socket() {
    let served = Served::new("talk");
    let stream = served.connect();
    for text in [&b"hello"[..], b"again"] {
        send(&stream, 14, text, 5);
        let wanted = (NtStatus::SUCCESS, 5, text.to_ascii_uppercase());
        assert_eq!(receive(&stream), wanted);
    }
    send(&stream, 4, b"x", 0);
    assert_eq!(receive(&stream).0, NtStatus::INVALID_DEVICE_REQUEST);
    send(&stream, 99, b"", 0);
    assert_eq!(receive(&stream).0, NtStatus::INVALID_DEVICE_REQUEST);
}

#[test]
fn hanging_up_cancels_what_is_under_way() {
    let served = Served::new("hang-up");
    let stream = served.connect();
    send(&stream, 3, b"", 10);
    thread::sleep(Duration::from_millis(20));
    drop(stream);
    for _ in 0..200 {
        if *CANCELED.lock().unwrap() > 0 {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody was told");
}

#[test]
fn an_oversized_request_ends_the_connection_only() {
    let served = Served::new("oversized");
    let mut stream = served.connect();
    let header = [14, 0, u32::MAX, 0].map(u32::to_le_bytes);
    stream.write_all(header.as_flattened()).unwrap();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
    let stream = served.connect();
    send(&stream, 14, b"ok", 2);
    assert_eq!(receive(&stream).2, b"OK");
}

#[test]
fn the_socket_goes_with_its_owner() {
    let mut served = Served::new("gone");
    assert!(served.path.exists());
    served.socket.take();
    assert!(!served.path.exists());
    assert!(UnixStream::connect(&served.path).is_err());
}
