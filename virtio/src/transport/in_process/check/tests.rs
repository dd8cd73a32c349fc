use super::*;

const TCP4: FeatureSet = FeatureSet::of(&[VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4]);

/// An IPv4 TCP frame of `payload` bytes whose checksum field holds the pseudo-header sum.
fn tcp4(payload: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 20 + payload];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[23] = TCP;
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..]
        .iter_mut()
        .enumerate()
        .for_each(|(i, b)| *b = i as u8);
    let sum = 0x0a00 + 1 + 0x0a00 + 2 + u32::from(TCP) + 20 + payload as u32;
    frame[50..52].copy_from_slice(&fold(sum).to_be_bytes());
    frame
}

fn header(flags: u8, gso_type: u8, words: [u16; 5]) -> VirtioNetHdr {
    let [hdr_len, gso_size, csum_start, csum_offset, num_buffers] = words;
    VirtioNetHdr {
        flags,
        gso_type,
        hdr_len,
        gso_size,
        csum_start,
        csum_offset,
        num_buffers,
    }
}

const SEGMENTED: [u16; 5] = [54, 1448, 34, 16, 0];

fn complaint(hdr: VirtioNetHdr, frame: &[u8], accepted: FeatureSet) -> String {
    transmitted(hdr, frame, accepted, 1500).join("; ")
}

#[test]
fn honest_frames_are_not_complained_of() {
    let plain = header(0, 0, [0; 5]);
    assert_eq!(complaint(plain, &[0; 60], FeatureSet::EMPTY), "");
    let segmented = header(1, 1, SEGMENTED);
    assert_eq!(complaint(segmented, &tcp4(9000), TCP4), "");
    let summed = header(1, 0, [0, 0, 34, 16, 0]);
    assert_eq!(complaint(summed, &tcp4(100), TCP4), "");
}

#[test]
fn each_wrong_field_is_named() {
    let big = tcp4(9000);
    let mut other_sum = big.clone();
    other_sum[50] ^= 1;
    let ipv4_only = FeatureSet::of(&[VIRTIO_NET_F_CSUM]);
    let mtu = FeatureSet::of(&[VIRTIO_NET_F_MTU]);
    let cases: &[(&str, VirtioNetHdr, &[u8], FeatureSet)] = &[
        ("shorter", header(0, 0, [0; 5]), &big[..13], TCP4),
        ("num_buffers", header(0, 0, [0, 0, 0, 0, 1]), &big, TCP4),
        ("flags beyond", header(2, 0, [0; 5]), &big, TCP4),
        ("hdr_len", header(0, 0, [9999, 0, 0, 0, 0]), &big, TCP4),
        (
            "without CSUM",
            header(1, 0, [0, 0, 34, 16, 0]),
            &big,
            FeatureSet::EMPTY,
        ),
        ("no pseudo", header(1, 1, SEGMENTED), &other_sum, TCP4),
        (
            "no pseudo",
            header(1, 1, [54, 1448, 9053, 0, 0]),
            &big,
            TCP4,
        ),
        ("without segmentation", header(0, 0, [0; 5]), &big, mtu),
        ("ECN without seg", header(0, 0x80, [0; 5]), &big, TCP4),
        ("not accepted", header(1, 1, SEGMENTED), &big, ipv4_only),
        ("not accepted", header(1, 4, SEGMENTED), &big, TCP4),
        ("not accepted", header(1, 2, SEGMENTED), &big, TCP4),
        ("without NEEDS_CSUM", header(0, 1, SEGMENTED), &big, TCP4),
        ("no bytes", header(1, 1, [54, 0, 34, 16, 0]), &big, TCP4),
        (
            "ECN without HOST_ECN",
            header(1, 0x81, SEGMENTED),
            &big,
            TCP4,
        ),
        (
            "another protocol",
            header(1, 5, SEGMENTED),
            &big,
            TCP4.with(VIRTIO_NET_F_HOST_USO),
        ),
    ];
    for (expected, header, frame, accepted) in cases {
        let said = complaint(*header, frame, *accepted);
        assert!(said.contains(expected), "{expected}: {said:?}");
    }
}

#[test]
fn a_completed_checksum_sums_to_nothing() {
    for payload in [0, 1, 2, 999] {
        let mut frame = tcp4(payload);
        let hdr = header(1, 0, [0, 0, 34, 16, 0]);
        complete_checksum(&hdr, &mut frame);
        let pseudo = sum_of(&frame[26..34]) + u32::from(TCP) + 20 + payload as u32;
        assert_eq!(
            fold(pseudo + sum_of(&frame[34..])),
            0xffff,
            "{payload} bytes"
        );
    }
}

#[test]
fn a_checksum_beyond_the_frame_is_left_alone() {
    let mut frame = tcp4(0);
    let before = frame.clone();
    complete_checksum(&header(1, 0, [0, 0, 53, 0, 0]), &mut frame);
    complete_checksum(&(header(1, 0, [0, 0, 65535, 65535, 0])), &mut frame);
    assert_eq!(frame, before);
}

#[test]
fn the_network_header_is_found_behind_vlan_tags_and_not_beyond_the_frame() {
    let plain = tcp4(10);
    let mut tagged = plain[..12].to_vec();
    tagged.extend_from_slice(&[0x81, 0, 0, 7]);
    tagged.extend_from_slice(&plain[12..]);
    assert_eq!(network_of(&tagged).map(|n| n.transport), Some(38));
    for len in 0..34 {
        assert!(network_of(&plain[..len]).is_none());
    }
}
