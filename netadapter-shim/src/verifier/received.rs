//! What a returned Rx packet must look like.

use super::snapshot::Owned;
use super::{POISON_LAYOUT, Violation};
use crate::abi::{
    FailureCode, NetFragment, NetPacket, NetPacketLayer2Type as L2, NetPacketLayer3Type as L3,
    NetPacketLayer4Type as L4, NetPacketLayout,
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
            "FragmentCount must not be 0; return it with Ignore set instead",
        );
    }
    if count > fragments.count() {
        let code = Code::InvalidRingRxPacketFragmentCountOutOfRange;
        return violated(
            code,
            index,
            format!(
                "FragmentCount is {count}; it must not be more than the {} that were owned",
                fragments.count()
            ),
        );
    }
    let last = fragments.advance(first, count - 1);
    let why = format!(
        "its fragments are {first} to {last}; they must have been owned, be returned with it, \
         and follow those of the packet before"
    );
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
        return seen(code, "Offset must not be beyond Capacity");
    }
    if fragment.offset() + fragment.valid_length() > fragment.capacity() {
        let code = FailureCode::InvalidRingRxPacketFragmentLengthInvalid;
        return seen(code, "Offset + ValidLength must not be beyond Capacity");
    }
    Ok(())
}

fn check_layout(index: u32, packet: NetPacket) -> Check {
    let layout = packet.layout;
    let broken = broken_type(layout)
        .or_else(|| layer2_breach(layout.layer2_type(), layout.layer2_header_length()))
        .or_else(|| layer3_breach(layout.layer3_type(), layout.layer3_header_length()))
        .or_else(|| layer4_breach(layout.layer4_type(), layout.layer4_header_length()));
    match broken {
        Some((code, expected)) => violated(code, index, format!("{expected}: {layout:?}")),
        None => Ok(()),
    }
}

/// A rule of the layout that was broken, and what it asks for.
type Breach = Option<(FailureCode, &'static str)>;

fn broken_type(layout: NetPacketLayout) -> Breach {
    type Code = FailureCode;
    if layout.layer2_type().0 > L2::IEEE80211.0 {
        return Some((
            Code::InvalidRingRxPacketLayer2Type,
            "Layer2Type must be 0 to 3",
        ));
    }
    if layout.layer3_type().0 > L3::IPV6_NO_EXTENSIONS.0 {
        return Some((
            Code::InvalidRingRxPacketLayer3Type,
            "Layer3Type must be 0 to 6",
        ));
    }
    if layout.layer4_type().0 > L4::IP_NOT_FRAGMENT.0 {
        return Some((
            Code::InvalidRingRxPacketLayer4Type,
            "Layer4Type must be 0 to 4",
        ));
    }
    None
}

/// A length of 0 leaves the header to the framework; it is what the layer-2
/// type Null must have.
fn layer2_breach(kind: L2, length: u32) -> Breach {
    type Code = FailureCode;
    match (kind, length) {
        (_, 0) => None,
        (L2::NULL, _) => Some((
            Code::InvalidRingRxPacketLayer2TypeNullLengthNonZero,
            "Layer2HeaderLength of the type Null must be 0",
        )),
        (L2::ETHERNET, ..14) => Some((
            Code::InvalidRingRxPacketLayer2TypeEthernetLengthInvalid,
            "Layer2HeaderLength of Ethernet must be 0, or 14 and more",
        )),
        _ => None,
    }
}

fn layer3_breach(kind: L3, length: u32) -> Breach {
    type Code = FailureCode;
    match length {
        1..20 if kind.is_ipv4() => Some((
            Code::InvalidRingRxPacketLayer3TypeIPv4LengthInvalid,
            "Layer3HeaderLength of IPv4 must be 0, or 20 and more",
        )),
        1..40 if kind.is_ipv6() => Some((
            Code::InvalidRingRxPacketLayer3TypeIPv6LengthInvalid,
            "Layer3HeaderLength of IPv6 must be 0, or 40 and more",
        )),
        _ => None,
    }
}

fn layer4_breach(kind: L4, length: u32) -> Breach {
    type Code = FailureCode;
    let tcp = length == 0 || ((20..=60).contains(&length) && length.is_multiple_of(4));
    match kind {
        L4::TCP if !tcp => Some((
            Code::InvalidRingRxPacketLayer4TypeTcpLengthInvalid,
            "Layer4HeaderLength of TCP must be 0, or a multiple of 4 from 20 to 60",
        )),
        L4::UDP if (1..8).contains(&length) => Some((
            Code::InvalidRingRxPacketLayer4TypeUdpLengthInvalid,
            "Layer4HeaderLength of UDP must be 0, or 8 and more",
        )),
        _ => None,
    }
}
