//! The vhost-user front end against back ends that follow a script: honest ones, and those that
//! lie, leave or say nothing.

mod scripted;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scripted::{Act, Answer, BackEnd, Honest, bits};
use virtio::init::{Idle, InitError, Running};
use virtio::net::features::all_known;
use virtio::net::{FeatureSet, NetConfig};
use virtio::queue::{Part, QueueSize, RingFeatures, RingLayout, SlotLayout};
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::spec::status::DEVICE_NEEDS_RESET;
use virtio::spec::vhost_user::protocol_feature as extension;
use virtio::spec::vhost_user::request::*;
use virtio::spec::vhost_user::{F_PROTOCOL_FEATURES, VRING_NO_FD};
use virtio::transport::vhost_user::{Options, VhostUser};
use virtio::{DmaRegion, DmaSlice, TransportError, Virtqueue};

/// How long a test's back end may keep the front end waiting.
const DEADLINE: Duration = Duration::from_millis(300);
/// No test hangs: several exchanges, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

fn options() -> Options {
    Options {
        timeout: DEADLINE,
        ..Options::default()
    }
}

fn connect(back_end: &BackEnd) -> Result<VhostUser, TransportError> {
    VhostUser::connect("test", &back_end.path(), options())
}

/// From greeting to `DRIVER_OK`, with both queues.
fn bring_up(transport: VhostUser) -> Result<Running, InitError> {
    let idle = Idle::reset(Box::new(transport), DEADLINE).map_err(|failed| failed.error)?;
    bring_up_in(idle, None).map(|(device, _)| device)
}

/// The same once more, in memory that is shared already, if there is any.
fn bring_up_in(idle: Idle, memory: Option<DmaSlice>) -> Result<(Running, DmaSlice), InitError> {
    let mut device = idle.negotiate(all_known()).map_err(|failed| failed.error)?;
    let size = QueueSize::new(4).unwrap();
    let memory = match memory {
        Some(memory) => memory,
        None => {
            let region = Arc::new(DmaRegion::new(8192).unwrap());
            region.at(device.transport().map_dma(&region)?)
        }
    };
    memory.clear();
    let layout = SlotLayout {
        stride: 64,
        parts: &[Part {
            offset: 0,
            len: 64,
            device_writes: true,
        }],
    };
    for index in 0..2 {
        let ring = memory
            .slice(
                usize::from(index) * 4096,
                RingLayout::new(size, RingFeatures::default()).len,
            )
            .unwrap();
        let slots = memory.slice(usize::from(index) * 4096 + 2048, 256).unwrap();
        let queue = Virtqueue::new(&ring, size, RingFeatures::default(), &slots, layout).unwrap();
        device.enable_queue(index, &queue, Some(index + 1))?;
    }
    let features = device.features();
    NetConfig::read(device.transport(), features)?;
    let device = device.driver_ok().map_err(|failed| failed.error)?;
    Ok((device, memory))
}

fn start(back_end: &BackEnd) -> Running {
    bring_up(connect(back_end).unwrap()).unwrap()
}

/// Over a connection that is not made again: no reset mends what went wrong.
fn connect_once(back_end: &BackEnd) -> Result<VhostUser, TransportError> {
    let stream = UnixStream::connect(back_end.path()).unwrap();
    VhostUser::from_stream("test", stream, options())
}

/// Everything from greeting to a confirmed reset; the first error ends it.
fn whole_life(back_end: &BackEnd) -> Result<(), String> {
    let running = bring_up(connect_once(back_end).map_err(|e| e.to_string())?);
    let running = running.map_err(|e| e.to_string())?;
    let idle = running.reset(DEADLINE);
    idle.map(drop).map_err(|failed| failed.error.to_string())
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How many connections were made.
fn greetings(back_end: &BackEnd) -> usize {
    let requests = back_end.requests();
    requests.iter().filter(|&&made| made == SET_OWNER).count()
}

fn status_of(device: &mut Running) -> u8 {
    device.transport().read_status().unwrap()
}

#[test]
fn a_device_comes_up_and_goes_in_the_order_of_the_protocol() {
    let back_end = BackEnd::honest();
    let idle = start(&back_end).reset(DEADLINE).unwrap();
    let requests = back_end.requests();
    let at = |request: u32| requests.iter().position(|&made| made == request).unwrap();
    let order = [
        GET_FEATURES,
        GET_PROTOCOL_FEATURES,
        SET_PROTOCOL_FEATURES,
        SET_OWNER,
        SET_FEATURES,
        SET_MEM_TABLE,
        SET_VRING_NUM,
        SET_VRING_BASE,
        SET_VRING_ADDR,
        SET_VRING_CALL,
        SET_VRING_KICK,
        SET_VRING_ENABLE,
        GET_VRING_BASE,
    ];
    let places: Vec<_> = order.iter().map(|&request| at(request)).collect();
    assert!(places.is_sorted(), "{requests:?}");
    for request in [SET_VRING_KICK, SET_VRING_ENABLE, GET_VRING_BASE] {
        let count = requests.iter().filter(|&&made| made == request).count();
        assert_eq!(count, 2, "request {request}");
    }
    drop(idle);
}

#[test]
fn every_message_that_needs_a_descriptor_brings_one_and_no_other_does() {
    let back_end = BackEnd::honest();
    drop(start(&back_end));
    let with_fd = [
        SET_MEM_TABLE,
        SET_VRING_KICK,
        SET_VRING_CALL,
        SET_VRING_ERR,
        SET_BACKEND_REQ_FD,
    ];
    for heard in back_end.heard() {
        let expected = usize::from(with_fd.contains(&heard.request));
        assert_eq!(heard.fds, expected, "{heard:?}");
    }
    let told = back_end.requests();
    assert!(with_fd.iter().all(|request| told.contains(request)));
}

#[test]
fn the_rings_lie_in_the_memory_that_is_shared() {
    let back_end = BackEnd::honest();
    drop(start(&back_end));
    let number =
        |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let heard = back_end.heard();
    let table = &heard
        .iter()
        .find(|h| h.request == SET_MEM_TABLE)
        .unwrap()
        .payload;
    let (guest, len, user) = (number(table, 8), number(table, 16), number(table, 24));
    assert_eq!((guest, len), (user, 8192));
    let rings: Vec<_> = heard
        .iter()
        .filter(|h| h.request == SET_VRING_ADDR)
        .collect();
    assert_eq!(rings.len(), 2);
    for ring in rings {
        for at in [8, 16, 24] {
            let address = number(&ring.payload, at);
            assert!((user..user + len).contains(&address), "{address:#x}");
        }
    }
    for event in heard.iter().filter(|h| h.request == SET_VRING_CALL) {
        assert_eq!(number(&event.payload, 0) & VRING_NO_FD, 0);
    }
    let shared = back_end.file(SET_MEM_TABLE).metadata().unwrap().len();
    assert_eq!(shared, len);
}

#[test]
fn a_started_ring_is_kicked_once_so_that_every_back_end_begins() {
    let back_end = BackEnd::honest();
    let device = start(&back_end);
    let mut counter = [0; 8];
    let kick = back_end.file(SET_VRING_KICK);
    (&kick).read_exact(&mut counter).unwrap();
    assert_eq!(u64::from_ne_bytes(counter), 1);
    drop(device);
}

#[test]
fn doorbells_stay_over_a_reset_and_are_new_for_a_new_connection() {
    let back_end = BackEnd::honest();
    let idle = Idle::reset(Box::new(connect(&back_end).unwrap()), DEADLINE).unwrap();
    let (device, memory) = bring_up_in(idle, None).unwrap();
    let mut first = back_end.file(SET_VRING_KICK);
    let idle = device.reset(DEADLINE).unwrap();
    let (mut device, memory) = bring_up_in(idle, Some(memory)).unwrap();
    let again = back_end.file(SET_VRING_KICK);
    let counter = |mut file: &File| {
        let mut counter = [0; 8];
        file.read_exact(&mut counter).unwrap();
        u64::from_ne_bytes(counter)
    };
    first.write_all(&40u64.to_ne_bytes()).unwrap();
    assert_eq!(counter(&again), 42, "two starts, and ours");
    back_end
        .file(SET_VRING_ERR)
        .write_all(&1u64.to_ne_bytes())
        .unwrap();
    wait_until("no sign", || {
        status_of(&mut device) & DEVICE_NEEDS_RESET != 0
    });
    first.write_all(&100u64.to_ne_bytes()).unwrap();
    let idle = device.reset(DEADLINE).unwrap();
    let up_again = bring_up_in(idle, Some(memory)).unwrap();
    assert_eq!(counter(&back_end.file(SET_VRING_KICK)), 1);
    drop(up_again);
}

#[test]
fn a_back_end_without_extensions_is_driven_without_them() {
    let plain = Honest {
        features: bits(&[VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC]),
        ..Honest::default()
    };
    let back_end = BackEnd::start(plain, Box::new(|_, answer| Act::Send(answer)));
    let mut device = start(&back_end);
    assert_eq!(device.features(), FeatureSet::of(&[VIRTIO_F_VERSION_1]));
    assert_eq!(device.read_config().unwrap().mac, None);
    let requests = back_end.requests();
    for request in [
        GET_PROTOCOL_FEATURES,
        SET_VRING_ENABLE,
        GET_CONFIG,
        GET_STATUS,
    ] {
        assert!(!requests.contains(&request), "request {request}");
    }
    // Nothing was acknowledged, so the last thing before work began was a question.
    assert_eq!(requests.last(), Some(&GET_FEATURES));
}

#[test]
fn an_address_can_be_given_where_the_back_end_has_none() {
    let plain = Honest {
        features: bits(&[VIRTIO_F_VERSION_1]),
        ..Honest::default()
    };
    let mac = [2, 0, 0, 0, 0, 7];
    let back_end = BackEnd::start(plain, Box::new(|_, answer| Act::Send(answer)));
    let options = Options {
        mac: Some(mac),
        ..options()
    };
    let transport = VhostUser::connect("test", &back_end.path(), options).unwrap();
    let mut device = bring_up(transport).unwrap();
    assert_eq!(device.read_config().unwrap().mac, Some(mac));
    let heard = back_end.heard();
    let taken = heard.iter().find(|h| h.request == SET_FEATURES).unwrap();
    assert_eq!(taken.payload, (1u64 << VIRTIO_F_VERSION_1).to_ne_bytes());
}

#[test]
fn of_all_bits_only_those_are_taken_that_can_be_kept() {
    let greedy = Honest {
        features: u64::MAX,
        protocol: u64::MAX,
        ..Honest::default()
    };
    let back_end = BackEnd::start(greedy, Box::new(|_, answer| Act::Send(answer)));
    drop(start(&back_end));
    let heard = back_end.heard();
    let told = |request: u32| {
        let heard = heard.iter().find(|h| h.request == request).unwrap();
        u64::from_ne_bytes(heard.payload[..8].try_into().unwrap())
    };
    let protocol = bits(&[
        extension::MQ,
        extension::REPLY_ACK,
        extension::BACKEND_REQ,
        extension::CONFIG,
        extension::RESET_DEVICE,
        extension::STATUS,
    ]);
    assert_eq!(told(SET_PROTOCOL_FEATURES), protocol);
    let taken = told(SET_FEATURES);
    let never = [
        VIRTIO_NET_F_CTRL_VQ,
        VIRTIO_NET_F_MQ,
        VIRTIO_F_ACCESS_PLATFORM,
        VIRTIO_F_NOTIFICATION_DATA,
        VIRTIO_F_RING_RESET,
        VIRTIO_F_INDIRECT_DESC,
    ];
    assert_eq!(taken & bits(&never), 0, "{taken:#x}");
    let must = bits(&[
        VIRTIO_F_VERSION_1,
        VIRTIO_F_RING_PACKED,
        VIRTIO_F_IN_ORDER,
        F_PROTOCOL_FEATURES,
    ]);
    assert_eq!(taken & must, must);
}

#[test]
fn a_legacy_back_end_is_refused() {
    let legacy = Honest {
        features: bits(&[F_PROTOCOL_FEATURES]),
        ..Honest::default()
    };
    let back_end = BackEnd::start(legacy, Box::new(|_, answer| Act::Send(answer)));
    let refused = bring_up(connect(&back_end).unwrap());
    assert!(matches!(refused, Err(InitError::Refused(_))), "{refused:?}");
}

/// Runs a whole life against a back end that changes answer `nth`; what came of it.
fn with_answer(nth: usize, change: fn(Answer) -> Act) -> (Result<(), String>, u32) {
    let mut count = 0;
    let asked = Arc::new(std::sync::Mutex::new(0));
    let changed = Arc::clone(&asked);
    let script = move |request: u32, answer: Answer| {
        count += 1;
        if count - 1 == nth {
            *changed.lock().unwrap() = request;
            return change(answer);
        }
        Act::Send(answer)
    };
    let back_end = BackEnd::start(Honest::default(), Box::new(script));
    let start = Instant::now();
    let outcome = whole_life(&back_end);
    assert!(start.elapsed() < PATIENCE, "answer {nth}");
    let asked = *asked.lock().unwrap();
    (outcome, asked)
}

/// How many answers an honest back end gives before a reset is asked for.
fn answers_until_running() -> usize {
    let count = Arc::new(std::sync::Mutex::new(0));
    let counter = Arc::clone(&count);
    let script = move |_, answer| {
        *counter.lock().unwrap() += 1;
        Act::Send(answer)
    };
    let back_end = BackEnd::start(Honest::default(), Box::new(script));
    let device = start(&back_end);
    let answers = *count.lock().unwrap();
    drop(device);
    assert!(answers > 20, "{answers}");
    answers
}

/// A change that no answer may have stops the bring-up, whichever answer has it.
fn refused_everywhere(what: &str, change: fn(Answer) -> Act) {
    for nth in 0..answers_until_running() {
        let (outcome, request) = with_answer(nth, change);
        let error = outcome.expect_err(&format!("{what}, answer {nth}, request {request}"));
        assert!(error.contains("test: "), "{error}");
    }
}

#[test]
fn an_answer_to_another_request_is_refused_wherever_it_comes() {
    refused_everywhere("another request", |mut answer| {
        answer.header.request ^= 64;
        Act::Send(answer)
    });
}

#[test]
fn an_answer_that_is_not_marked_as_one_is_refused_wherever_it_comes() {
    refused_everywhere("flags", |mut answer| {
        answer.header.flags = 1;
        Act::Send(answer)
    });
}

#[test]
fn an_answer_of_another_version_is_refused_wherever_it_comes() {
    refused_everywhere("version", |mut answer| {
        answer.header.flags = 6;
        Act::Send(answer)
    });
}

#[test]
fn an_answer_that_is_too_short_is_refused_wherever_it_comes() {
    refused_everywhere("short", |mut answer| {
        let shorter = answer.payload[1..].to_vec();
        answer.set_payload(&shorter);
        Act::Send(answer)
    });
}

#[test]
fn an_answer_that_claims_gigabytes_is_refused_without_reading_them() {
    refused_everywhere("long", |mut answer| {
        answer.header.size = u32::MAX;
        Act::Send(answer)
    });
}

#[test]
fn a_back_end_that_closes_at_any_point_is_an_error_at_once() {
    refused_everywhere("closed", |_| Act::Close);
}

#[test]
fn a_back_end_that_falls_silent_is_given_up_at_the_deadline() {
    for nth in [0, 1, 2, 5, 9, answers_until_running() - 1] {
        let (outcome, request) = with_answer(nth, |_| Act::KeepSilent);
        let error = outcome.expect_err(&format!("answer {nth}, request {request}"));
        assert!(error.contains("did not answer in time"), "{error}");
    }
}

#[test]
fn half_an_answer_is_given_up_at_the_deadline() {
    let (outcome, _) = with_answer(0, |mut answer| {
        answer.payload.truncate(3);
        Act::Send(answer)
    });
    let error = outcome.unwrap_err();
    assert!(error.contains("did not answer in time"), "{error}");
}

#[test]
fn nobody_listening_is_said_with_its_cause() {
    let error = VhostUser::connect("test", "/nonexistent/sock".as_ref(), options());
    let text = error.err().unwrap().to_string();
    assert!(
        text.contains("connecting to the back end failed: No such file"),
        "{text}"
    );
}

/// A back end whose answers to one request carry another number.
fn answering(request: u32, number: u64) -> BackEnd {
    let script = move |asked: u32, mut answer: Answer| {
        if asked == request {
            answer.set_payload(&number.to_ne_bytes());
        }
        Act::Send(answer)
    };
    BackEnd::start(Honest::default(), Box::new(script))
}

#[test]
fn a_refusal_is_told_with_the_request_that_was_refused() {
    for (request, name) in [
        (SET_OWNER, "SET_OWNER"),
        (SET_FEATURES, "SET_FEATURES"),
        (SET_MEM_TABLE, "SET_MEM_TABLE"),
        (SET_VRING_NUM, "SET_VRING_NUM"),
        (SET_VRING_KICK, "SET_VRING_KICK"),
    ] {
        let error = whole_life(&answering(request, 1)).unwrap_err();
        assert!(error.contains(name) && error.contains("refused"), "{error}");
    }
}

#[test]
fn a_back_end_without_queues_is_refused() {
    let error = connect(&answering(GET_QUEUE_NUM, 0)).err().unwrap();
    assert!(error.to_string().contains("no queues"), "{error}");
}

#[test]
fn a_status_beyond_a_byte_is_refused() {
    let error = whole_life(&answering(GET_STATUS, 0x100)).unwrap_err();
    assert!(error.contains("GET_STATUS"), "{error}");
}

#[test]
fn features_taken_back_are_told_apart_from_errors() {
    let script = |request: u32, mut answer: Answer| {
        if request == GET_STATUS {
            answer.payload[0] &= !8;
        }
        Act::Send(answer)
    };
    let back_end = BackEnd::start(Honest::default(), Box::new(script));
    let refused = bring_up(connect(&back_end).unwrap());
    assert!(
        matches!(refused, Err(InitError::FeaturesRefused { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_reset_that_never_ends_is_given_up() {
    let error = bring_up(connect(&answering(GET_STATUS, 1)).unwrap());
    assert!(
        matches!(error, Err(InitError::ResetTimeout { .. })),
        "{error:?}"
    );
}

#[test]
fn other_configuration_than_was_asked_for_is_refused() {
    let script = |request: u32, mut answer: Answer| {
        if request == GET_CONFIG {
            answer.payload[0] ^= 4;
        }
        Act::Send(answer)
    };
    let back_end = BackEnd::start(Honest::default(), Box::new(script));
    let error = whole_life(&back_end).unwrap_err();
    assert!(error.contains("configuration bytes 4..+8"), "{error}");
}

#[test]
fn a_ring_that_is_not_confirmed_to_have_stopped_costs_the_connection() {
    let script = |request: u32, mut answer: Answer| {
        if request == GET_VRING_BASE {
            answer.payload[0] ^= 1;
        }
        Act::Send(answer)
    };
    let back_end = BackEnd::start(Honest::default(), Box::new(script));
    let mut idle = start(&back_end).reset(DEADLINE).unwrap();
    assert_eq!(idle.transport().read_status().unwrap(), 0);
    drop(idle.negotiate(all_known()).unwrap());
    assert_eq!(greetings(&back_end), 2, "a new connection was made");
}

#[test]
fn a_change_of_the_configuration_raises_the_configuration_interrupt() {
    let back_end = BackEnd::honest();
    let mut device = start(&back_end);
    let interrupt = device.transport().interrupt(0).unwrap();
    assert!(interrupt.read().is_err(), "nothing has happened");
    let mut channel = back_end.file(SET_BACKEND_REQ_FD);
    let message: Vec<u8> = [2u32, 1, 0].iter().flat_map(|w| w.to_ne_bytes()).collect();
    channel.write_all(&message).unwrap();
    wait_until("no interrupt", || interrupt.read().is_ok());
    assert_eq!(status_of(&mut device) & DEVICE_NEEDS_RESET, 0);
    assert!(device.read_config().unwrap().link_up);
}

#[test]
fn nonsense_of_the_back_ends_own_accord_is_not_listened_to() {
    let back_end = BackEnd::honest();
    let mut device = start(&back_end);
    let interrupt = device.transport().interrupt(0).unwrap();
    let mut channel = back_end.file(SET_BACKEND_REQ_FD);
    let message: Vec<u8> = [3u32, 1, 40].iter().flat_map(|w| w.to_ne_bytes()).collect();
    channel.write_all(&message).unwrap();
    // The end it was sent to is closed, and nothing else happens.
    wait_until("still open", || channel.write_all(&message).is_err());
    assert!(interrupt.read().is_err());
    assert_eq!(status_of(&mut device) & DEVICE_NEEDS_RESET, 0);
}

#[test]
fn a_broken_ring_shows_as_a_device_that_needs_a_reset() {
    let back_end = BackEnd::honest();
    let mut device = start(&back_end);
    let mut event = back_end.file(SET_VRING_ERR);
    event.write_all(&1u64.to_ne_bytes()).unwrap();
    wait_until("no sign", || {
        status_of(&mut device) & DEVICE_NEEDS_RESET != 0
    });
    let interrupt = device.transport().interrupt(0).unwrap();
    assert!(interrupt.read().is_ok());
    let mut idle = device.reset(DEADLINE).unwrap();
    assert_eq!(idle.transport().read_status().unwrap(), 0);
    drop(idle.negotiate(all_known()).unwrap());
    assert_eq!(greetings(&back_end), 2, "a new connection was made");
}

/// A back end that closes the first connection once it has started.
fn leaves_once() -> BackEnd {
    let mut left = false;
    let script = move |request: u32, answer: Answer| {
        if request == GET_STATUS && answer.payload[0] & 4 != 0 && !left {
            left = true;
            return Act::Close;
        }
        Act::Send(answer)
    };
    BackEnd::start(Honest::default(), Box::new(script))
}

#[test]
fn a_lost_connection_is_made_anew_when_the_device_is_brought_up_again() {
    let back_end = leaves_once();
    let mut device = start(&back_end);
    let interrupt = device.transport().interrupt(0).unwrap();
    assert!(
        device.transport().read_status().is_err(),
        "it leaves at this question"
    );
    wait_until("no interrupt", || interrupt.read().is_ok());
    assert_ne!(status_of(&mut device) & DEVICE_NEEDS_RESET, 0);
    assert!(!device.read_config().unwrap().link_up, "nobody is there");
    let device = device.reset(DEADLINE).unwrap();
    let mut device = device.negotiate(all_known()).unwrap();
    let features = device.features();
    let config = NetConfig::read(device.transport(), features).unwrap();
    assert!(config.link_up, "somebody is there again");
}

#[test]
fn without_a_way_to_connect_again_a_lost_device_is_gone() {
    let back_end = leaves_once();
    let mut device = bring_up(connect_once(&back_end).unwrap()).unwrap();
    assert!(device.transport().read_status().is_err());
    wait_until("it is not noticed", || {
        let status = device.transport().read_status();
        matches!(status, Err(TransportError::Gone { .. }))
    });
    let failed = device.reset(DEADLINE).unwrap_err();
    let gone = matches!(
        failed.error,
        InitError::Transport(TransportError::Gone { .. })
    );
    assert!(gone, "{failed:?}");
}
