//! What a returned Rx packet must look like.

use super::snapshot::Owned;
use super::{POISON_LAYOUT, Violation};
use crate::abi::{
    FailureCode, NetFragment, NetPacket, NetPacketLayer2Type as L2, NetPacketLayer3Type as L3,
    NetPacketLayer4Type as L4,
};
use crate::ring::NetRings;

type Check = Result<(), Violation>;

/// Every packet returned with data: really written, with fragments that are
/// returned too, in ascending order, and sound layouts.
pub(super) fn check_received(view: &NetRings<'_>, packets: Owned, fragments: Owned) -> Check {
    // Steps from the old Begin of the fragment ring; packets take fragments in
    // ascending order from here on.
    let mut taken = 0;
    for index in packets.returned_indices() {
        let packet = view.packet(index);
        if packet.ignore() {
            continue;
        }
        check_written(index, packet)?;
        check_range(index, packet, fragments, taken)?;
        let first = packet.fragment_index;
        taken = fragments.distance(first) + u32::from(packet.fragment_count);
        for step in 0..u32::from(packet.fragment_count) {
            let at = fragments.advance(first, step);
            check_fragment(at, view.fragment(at))?;
        }
        check_layout(index, packet)?;
    }
    Ok(())
}

fn violated(code: FailureCode, index: u32, why: impl std::fmt::Display) -> Check {
    Err(Violation::new(
        code,
        format!("returned packet {index}: {why}"),
    ))
}

fn check_written(index: u32, packet: NetPacket) -> Check {
    let poison = POISON_LAYOUT;
    let layout = packet.layout;
    let untouched = packet.fragment_index == u32::MAX
        || packet.fragment_count == u16::MAX
        || layout.layer2_type() == poison.layer2_type()
        || layout.layer3_type() == poison.layer3_type()
        || layout.layer4_type() == poison.layer4_type();
    match untouched {
        true => violated(
            FailureCode::InvalidRingUnmodifiedRxPacket,
            index,
            "FragmentIndex, FragmentCount and the layout's types must be written",
        ),
        false => Ok(()),
    }
}

fn check_range(index: u32, packet: NetPacket, fragments: Owned, taken: u32) -> Check {
    type Code = FailureCode;
    let (first, count) = (packet.fragment_index, u32::from(packet.fragment_count));
    if count == 0 {
        let code = Code::InvalidRingRxPacketFragmentCountZero;
        return violated(
            code,
            index,
            "FragmentCount is 0; return it with Ignore set instead",
        );
    }
    if count > fragments.count() {
        let code = Code::InvalidRingRxPacketFragmentCountOutOfRange;
        return violated(
            code,
            index,
            format!("FragmentCount {count} is more than were owned"),
        );
    }
    let last = fragments.advance(first, count - 1);
    let why = format!("its fragments are {first} to {last}");
    let before = |index| fragments.contains(index);
    let returned = |index| fragments.returned(index);
    if !before(first) {
        return violated(
            Code::InvalidRingRxPacketFragmentIndexOutOfPreRange,
            index,
            why,
        );
    }
    if !before(last) || fragments.distance(last) < fragments.distance(first) {
        return violated(
            Code::InvalidRingRxPacketFragmentCountOutOfPreRange,
            index,
            why,
        );
    }
    if !returned(first) {
        return violated(
            Code::InvalidRingRxPacketFragmentIndexOutOfPostRange,
            index,
            why,
        );
    }
    if !returned(last) {
        return violated(
            Code::InvalidRingRxPacketFragmentCountOutOfPostRange,
            index,
            why,
        );
    }
    if fragments.distance(first) < taken {
        // It begins inside what an earlier packet took, or before it.
        let code = match fragments.distance(last) < taken {
            true => Code::InvalidRingRxPacketFragmentIndexOverlap,
            false => Code::InvalidRingRxPacketFragmentCountOverlap,
        };
        return violated(code, index, why);
    }
    Ok(())
}

fn check_fragment(index: u32, fragment: NetFragment) -> Check {
    let seen = |code, why: &str| {
        Err(Violation::new(
            code,
            format!("returned fragment {index}: {why}: {fragment:?}"),
        ))
    };
    if fragment.valid_length() == NetFragment::MAX_LENGTH
        || fragment.offset() == NetFragment::MAX_OFFSET
    {
        let code = FailureCode::InvalidRingUnmodifiedRxFragment;
        return seen(code, "ValidLength and Offset must be written, even if 0");
    }
    if fragment.offset() > fragment.capacity() {
        let code = FailureCode::InvalidRingRxPacketFragmentOffsetInvalid;
        return seen(code, "Offset is beyond Capacity");
    }
    if fragment.offset() + fragment.valid_length() > fragment.capacity() {
        let code = FailureCode::InvalidRingRxPacketFragmentLengthInvalid;
        return seen(code, "Offset + ValidLength is beyond Capacity");
    }
    Ok(())
}

fn check_layout(index: u32, packet: NetPacket) -> Check {
    type Code = FailureCode;
    let layout = packet.layout;
    let (l2, l3, l4) = (
        layout.layer2_type(),
        layout.layer3_type(),
        layout.layer4_type(),
    );
    let types = [
        (
            l2.0 <= L2::IEEE80211.0,
            Code::InvalidRingRxPacketLayer2TypeInvalid,
        ),
        (
            l3.0 <= L3::IPV6_NO_EXTENSIONS.0,
            Code::InvalidRingRxPacketLayer3TypeInvalid,
        ),
        (
            l4.0 <= L4::IP_NOT_FRAGMENT.0,
            Code::InvalidRingRxPacketLayer4TypeInvalid,
        ),
    ];
    let layer2 = layout.layer2_header_length();
    let layer3 = layout.layer3_header_length();
    let layer4 = layout.layer4_header_length();
    let lengths = [
        (
            layer2_fits(l2, layer2),
            Code::InvalidRingRxPacketLayer2LengthInvalid,
        ),
        (
            layer3_fits(l3, layer3),
            Code::InvalidRingRxPacketLayer3LengthInvalid,
        ),
        (
            layer4_fits(l4, layer4),
            Code::InvalidRingRxPacketLayer4LengthInvalid,
        ),
    ];
    match types.into_iter().chain(lengths).find(|(sound, _)| !sound) {
        Some((_, code)) => violated(code, index, format!("{layout:?}")),
        None => Ok(()),
    }
}

fn layer2_fits(kind: L2, length: u32) -> bool {
    match kind {
        L2::NULL => length == 0,
        L2::ETHERNET => length == 0 || length >= 14,
        _ => true,
    }
}

fn layer3_fits(kind: L3, length: u32) -> bool {
    let minimum = match kind {
        kind if kind.is_ipv4() => 20,
        kind if kind.is_ipv6() => 40,
        _ => 0,
    };
    length == 0 || length >= minimum
}

fn layer4_fits(kind: L4, length: u32) -> bool {
    match kind {
        L4::TCP => length == 0 || ((20..=60).contains(&length) && length.is_multiple_of(4)),
        L4::UDP => length == 0 || length >= 8,
        _ => true,
    }
}
