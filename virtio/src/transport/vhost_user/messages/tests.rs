use super::*;

fn header(request: u32, flags: u32, size: u32) -> Header {
    Header {
        request,
        flags,
        size,
    }
}

fn pair(index: u32, num: u32) -> Vec<u8> {
    join32(&[index, num])
}

/// One of each, with values that a mix-up would show.
fn all() -> Vec<Request> {
    use Request::*;
    let regions = vec![MemoryRegion { address: 7, len: 9 }; 2];
    let ring = RingAddresses {
        queue: 3,
        desc: 11,
        avail: 12,
        used: 13,
    };
    vec![
        GetFeatures,
        SetFeatures(5),
        SetOwner,
        SetMemTable(regions),
        SetVringNum {
            queue: 1,
            size: 256,
        },
        SetVringAddr(ring),
        SetVringBase {
            queue: 1,
            base: RingBase::Packed,
        },
        GetVringBase {
            queue: 1,
            packed: None,
        },
        SetVringKick { queue: 1 },
        SetVringCall {
            queue: 1,
            has_fd: true,
        },
        SetVringErr { queue: 1 },
        GetProtocolFeatures,
        SetProtocolFeatures(5),
        GetQueueNum,
        SetVringEnable { queue: 1, on: true },
        SetBackendReqFd,
        GetConfig { offset: 2, len: 6 },
        ResetDevice,
        SetStatus(15),
        GetStatus,
    ]
}

#[test]
fn every_message_says_its_own_length() {
    for request in all() {
        for need_reply in [false, true] {
            let bytes = request.to_bytes(need_reply);
            let head = Header::from_bytes(bytes[..12].try_into().unwrap());
            assert_eq!(head.request, request.code());
            assert_eq!(head.size as usize, bytes.len() - 12, "{request:?}");
            assert_eq!(head.flags, if need_reply { 9 } else { 1 });
        }
    }
}

#[test]
fn payloads_lie_as_the_protocol_says() {
    let payload = |request: Request| request.to_bytes(false)[12..].to_vec();
    let region = MemoryRegion {
        address: 0x1_0000_0000,
        len: 4096,
    };
    let mut table = pair(1, 0);
    table.extend(join64(&[0x1_0000_0000, 4096, 0x1_0000_0000, 0]));
    assert_eq!(payload(Request::SetMemTable(vec![region])), table);
    let ring = RingAddresses {
        queue: 1,
        desc: 10,
        avail: 20,
        used: 30,
    };
    let mut addresses = pair(1, 0);
    addresses.extend(join64(&[10, 30, 20, 0]));
    assert_eq!(payload(Request::SetVringAddr(ring)), addresses);
    let no_event = Request::SetVringCall {
        queue: 2,
        has_fd: false,
    };
    assert_eq!(payload(no_event), 0x102u64.to_ne_bytes());
    let config = payload(Request::GetConfig { offset: 4, len: 2 });
    assert_eq!(config, [join32(&[4, 2, 0]).as_slice(), &[0, 0]].concat());
}

#[test]
fn every_field_of_a_header_counts() {
    for request in all() {
        let good = match request {
            Request::GetConfig { len, .. } => header(request.code(), 5, 12 + len),
            _ => header(request.code(), 5, 8),
        };
        assert_eq!(request.check_header(good), Ok(good.size as usize));
        for other in [0, request.code() + 1, u32::MAX] {
            let wrong = Header {
                request: other,
                ..good
            };
            assert!(request.check_header(wrong).is_err(), "{wrong:?}");
        }
        for flags in (0..64).chain([u32::MAX]).filter(|&flags| flags != 5) {
            let wrong = Header { flags, ..good };
            assert_eq!(
                request.check_header(wrong),
                Err(MessageFault::Flags { flags })
            );
        }
        for size in (0..64).chain([4096, u32::MAX]) {
            let wrong = Header { size, ..good };
            assert_eq!(request.check_header(wrong).is_ok(), size == good.size);
        }
    }
}

#[test]
fn a_payload_of_another_length_is_refused_by_every_request() {
    for request in all() {
        let right = match request {
            Request::GetConfig { len, .. } => 12 + len as usize,
            _ => 8,
        };
        for len in (0..40).filter(|&len| len != right) {
            let outcome = request.check_payload(&vec![0; len]);
            assert!(
                matches!(outcome, Err(MessageFault::Size { .. })),
                "{request:?}, {len}: {outcome:?}"
            );
        }
    }
}

#[test]
fn an_acknowledgement_other_than_zero_is_a_refusal() {
    let refusal = Request::SetOwner.check_payload(&7u64.to_ne_bytes());
    assert_eq!(refusal, Err(MessageFault::Refused { answer: 7 }));
    assert_eq!(Request::SetOwner.check_payload(&[0; 8]), Ok(Reply::Done));
}

#[test]
fn ring_answers_repeat_the_queue_and_stay_within_a_ring() {
    let answer = |packed: Option<u16>, queue, base| {
        let packed = packed.map(|size| QueueSize::new(size).unwrap());
        Request::GetVringBase { queue: 1, packed }.check_payload(&pair(queue, base))
    };
    let other = answer(None, 0, 9);
    assert!(matches!(other, Err(MessageFault::OtherQueue { .. })));
    assert_eq!(answer(None, 1, 0xffff), Ok(Reply::Number(0xffff)));
    let far = answer(None, 1, 0x1_0000);
    assert!(matches!(far, Err(MessageFault::TooLarge { .. })));
    // Of a packed ring there are two positions, each with its wrap counter.
    for good in [0x8000_8000, 0x000f_800f, 0x800f_0000] {
        assert_eq!(answer(Some(16), 1, good), Ok(Reply::Number(good.into())));
    }
    for far in [0x8010, 0x0010_0000, u32::MAX] {
        let far = answer(Some(16), 1, far);
        assert!(matches!(far, Err(MessageFault::TooLarge { .. })));
    }
}

#[test]
fn a_ring_begins_where_its_format_has_its_beginning() {
    let base = |base| Request::SetVringBase { queue: 3, base }.payload();
    assert_eq!(base(RingBase::Split), pair(3, 0));
    assert_eq!(base(RingBase::Packed), pair(3, 0x8000_8000));
}

#[test]
fn status_and_queue_counts_have_limits_and_features_have_none() {
    let answer = |request: Request, number: u64| request.check_payload(&number.to_ne_bytes());
    assert_eq!(answer(Request::GetStatus, 255), Ok(Reply::Number(255)));
    assert!(answer(Request::GetStatus, 256).is_err());
    assert!(answer(Request::GetQueueNum, 65536).is_err());
    assert!(answer(Request::GetFeatures, u64::MAX).is_ok());
}

#[test]
fn configuration_must_be_what_was_asked_for() {
    let request = Request::GetConfig { offset: 0, len: 2 };
    let payload = |offset, len| [join32(&[offset, len, 0]).as_slice(), &[1, 2]].concat();
    assert_eq!(
        request.check_payload(&payload(0, 2)),
        Ok(Reply::Config(vec![1, 2]))
    );
    for (offset, len) in [(1, 2), (0, 1), (0, u32::MAX)] {
        let outcome = request.check_payload(&payload(offset, len));
        assert_eq!(outcome, Err(MessageFault::OtherConfig { offset, len }));
    }
    let none = request.check_header(header(24, 5, 0));
    assert_eq!(none, Err(MessageFault::NoConfig));
}

#[test]
fn of_its_own_accord_a_back_end_may_only_tell_of_configuration() {
    let told = |request, flags, size| ConfigChanged::check(header(request, flags, size));
    assert_eq!(told(2, 1, 0), Ok(ConfigChanged { need_reply: false }));
    assert_eq!(told(2, 9, 0), Ok(ConfigChanged { need_reply: true }));
    assert!(told(1, 1, 0).is_err());
    assert!(told(2, 5, 0).is_err());
    assert!(told(2, 1, 1).is_err());
    let answer = ConfigChanged::answer();
    let head = Header::from_bytes(answer[..12].try_into().unwrap());
    assert_eq!((head, answer.len()), (header(2, 5, 8), 20));
}
