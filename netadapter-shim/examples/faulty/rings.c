/*
 * Faults of the data path: what Advance may change in the rings, and what a
 * received packet must look like.
 */
#include "faulty.h"

/* --- either direction --- */

static void MoveEnd(SCENE *scene) { scene->Packets->EndIndex ^= 1; }
static void ChangeMask(SCENE *scene) { scene->Fragments->ElementIndexMask ^= 1; }
static void BeginBeyondEnd(SCENE *scene) { scene->Packets->BeginIndex = NetRingIncrementIndex(scene->Packets, scene->Packets->EndIndex); }
static void FragmentBeginBeyondEnd(SCENE *scene) { scene->Fragments->BeginIndex = NetRingIncrementIndex(scene->Fragments, scene->Fragments->EndIndex); }
static void TouchForeignPacket(SCENE *scene) { NetRingGetPacketAtIndex(scene->Packets, scene->Packets->EndIndex)->FragmentCount ^= 1; }
static void TouchForeignFragment(SCENE *scene) { NetRingGetFragmentAtIndex(scene->Fragments, scene->Fragments->EndIndex)->ValidLength ^= 1; }

/* --- transmit: only Scratch is the client's --- */

static NET_PACKET *Packet(SCENE *scene) { return NetRingGetPacketAtIndex(scene->Packets, scene->Packets->BeginIndex); }

static void ChangeSentPacket(SCENE *scene) { Packet(scene)->Layout.Layer2HeaderLength ^= 1; }
static void IgnoreSentPacket(SCENE *scene) { Packet(scene)->Ignore ^= 1; }
static void ChangeSentFragment(SCENE *scene) { FragmentAt(scene, 0)->ValidLength ^= 1; }

/* --- receive --- */

/* Ignored, and written all the same. */
static void WriteIgnored(SCENE *scene)
{
    Packet(scene)->Ignore = 1;
    Packet(scene)->FragmentCount = 1;
    scene->Packets->BeginIndex = NetRingIncrementIndex(scene->Packets, scene->Packets->BeginIndex);
}

static void ReservedBits(SCENE *scene) { Packet(scene)->Layout.Reserved0 ^= 1; }
static void ChangeCapacity(SCENE *scene) { FragmentAt(scene, 0)->Capacity -= 1; }

static void ReturnUnwritten(SCENE *scene)
{
    scene->Packets->BeginIndex = NetRingIncrementIndex(scene->Packets, scene->Packets->BeginIndex);
    scene->Fragments->BeginIndex = NetRingIncrementIndex(scene->Fragments, scene->Fragments->BeginIndex);
}

/* The packet is written, the length of its data is; the offset is not. */
static void KeepOffset(SCENE *scene)
{
    NET_FRAGMENT *fragment = FragmentAt(scene, 0);
    UINT64 offset = fragment->Offset;
    Receive(scene, 1);
    fragment->Offset = offset;
}

static void CountZero(SCENE *scene) { Receive(scene, 1)->FragmentCount = 0; }

static void CountBeyondAll(SCENE *scene)
{
    UINT32 owned = NetRingGetRangeCount(scene->Fragments, scene->Fragments->BeginIndex, scene->Fragments->EndIndex);
    Receive(scene, 1)->FragmentCount = (UINT16)(owned + 1);
}

static void IndexBeyondOwned(SCENE *scene) { Receive(scene, 1)->FragmentIndex = scene->Fragments->EndIndex; }

/* From the last fragment it owns into those it does not. */
static void CountBeyondOwned(SCENE *scene)
{
    NET_PACKET *packet = Receive(scene, 1);
    packet->FragmentIndex = NetRingAdvanceIndex(scene->Fragments, scene->Fragments->EndIndex, -1);
    packet->FragmentCount = 2;
}

static void KeepFragment(SCENE *scene)
{
    UINT32 begin = scene->Fragments->BeginIndex;
    Receive(scene, 1);
    scene->Fragments->BeginIndex = begin;
}

static void KeepSecondFragment(SCENE *scene)
{
    NET_FRAGMENT *second = FragmentAt(scene, 1);
    second->Offset = 0;
    second->ValidLength = 60;
    Receive(scene, 1)->FragmentCount = 2;
}

static NET_PACKET *Next(SCENE *scene, NET_PACKET *packet)
{
    return (NET_PACKET *)((PUCHAR)packet + scene->Packets->ElementStride);
}

/* Turn 0 begins at index 0, so that the ring does not wrap between the two. */
static void SameFragmentTwice(SCENE *scene)
{
    NET_PACKET *first = Receive(scene, 2);
    Next(scene, first)->FragmentIndex = first->FragmentIndex;
}

static void SharedFragment(SCENE *scene)
{
    NET_PACKET *first = Receive(scene, 3);
    first->FragmentCount = 2;
    Next(scene, first)->FragmentCount = 2;
}

static void SmallBuffers(SCENE *scene) { scene->Rx->MaximumFrameSize = 600; }

static void OffsetBeyond(SCENE *scene)
{
    NET_FRAGMENT *fragment = FragmentAt(scene, 0);
    Receive(scene, 1);
    fragment->Offset = 700;
    fragment->ValidLength = 0;
}

static void LengthBeyond(SCENE *scene)
{
    NET_FRAGMENT *fragment = FragmentAt(scene, 0);
    Receive(scene, 1);
    fragment->Offset = 1000;
    fragment->ValidLength = 1000;
}

/* --- layouts --- */

static void Layout(SCENE *scene, UINT8 layer2, UINT8 layer2Length, UINT8 layer3, UINT16 layer3Length, UINT8 layer4, UINT8 layer4Length)
{
    NET_PACKET_LAYOUT *layout = &Receive(scene, 1)->Layout;
    layout->Layer2Type = layer2;
    layout->Layer2HeaderLength = layer2Length;
    layout->Layer3Type = layer3;
    layout->Layer3HeaderLength = layer3Length;
    layout->Layer4Type = layer4;
    layout->Layer4HeaderLength = layer4Length;
}

static void Layer2Type(SCENE *scene) { Layout(scene, 4, 0, 0, 0, 0, 0); }
static void Layer2Null(SCENE *scene) { Layout(scene, NetPacketLayer2TypeNull, 14, 0, 0, 0, 0); }
static void Layer2Ethernet(SCENE *scene) { Layout(scene, NetPacketLayer2TypeEthernet, 13, 0, 0, 0, 0); }
static void Layer3Type(SCENE *scene) { Layout(scene, 0, 0, 7, 0, 0, 0); }
static void Layer3IPv4(SCENE *scene) { Layout(scene, 0, 0, NetPacketLayer3TypeIPv4NoOptions, 19, 0, 0); }
static void Layer3IPv6(SCENE *scene) { Layout(scene, 0, 0, NetPacketLayer3TypeIPv6NoExtensions, 39, 0, 0); }
static void Layer4Type(SCENE *scene) { Layout(scene, 0, 0, 0, 0, 5, 0); }
static void Layer4Tcp(SCENE *scene) { Layout(scene, 0, 0, 0, 0, NetPacketLayer4TypeTcp, 21); }
static void Layer4Udp(SCENE *scene) { Layout(scene, 0, 0, 0, 0, NetPacketLayer4TypeUdp, 7); }

const FAULT RingFaults[] = {
    { "InvalidRingImmutable", AT_TX_ADVANCE, MoveEnd },
    { "InvalidRingImmutable/mask", AT_RX_ADVANCE, ChangeMask },
    { "InvalidRingImmutable/cancel", AT_RX_CANCEL, MoveEnd },
    { "InvalidRingBeginIndex", AT_TX_ADVANCE, BeginBeyondEnd },
    { "InvalidRingBeginIndex/fragments", AT_TX_ADVANCE, FragmentBeginBeyondEnd },
    { "InvalidRingImmutableFrameworkElement", AT_TX_ADVANCE, TouchForeignPacket },
    { "InvalidRingImmutableFrameworkElement/fragment", AT_RX_ADVANCE, TouchForeignFragment },
    { "InvalidRingImmutableDriverTxPacket", AT_TX_ADVANCE, ChangeSentPacket },
    { "InvalidRingImmutableDriverTxPacket/ignore", AT_TX_ADVANCE, IgnoreSentPacket },
    { "InvalidRingImmutableDriverTxFragment", AT_TX_ADVANCE, ChangeSentFragment },
    { "InvalidRingImmutableDriverRxPacketIgnore", AT_RX_ADVANCE, WriteIgnored },
    { "InvalidRingModifiedRxPacket", AT_RX_ADVANCE, ReservedBits },
    { "InvalidRingModifiedRxFragment", AT_RX_ADVANCE, ChangeCapacity },
    { "InvalidRingUnmodifiedRxPacket", AT_RX_ADVANCE, ReturnUnwritten },
    { "InvalidRingUnmodifiedRxFragment", AT_RX_ADVANCE, KeepOffset },
    { "InvalidRingRxPacketFragmentCountZero", AT_RX_ADVANCE, CountZero },
    { "InvalidRingRxPacketFragmentCountOutOfRange", AT_RX_ADVANCE, CountBeyondAll },
    { "InvalidRingRxPacketFragmentIndexOutOfPreRange", AT_RX_ADVANCE, IndexBeyondOwned },
    { "InvalidRingRxPacketFragmentCountOutOfPreRange", AT_RX_ADVANCE, CountBeyondOwned },
    { "InvalidRingRxPacketFragmentIndexOutOfPostRange", AT_RX_ADVANCE, KeepFragment },
    { "InvalidRingRxPacketFragmentCountOutOfPostRange", AT_RX_ADVANCE, KeepSecondFragment },
    { "InvalidRingRxPacketFragmentIndexOverlap", AT_RX_ADVANCE, SameFragmentTwice },
    { "InvalidRingRxPacketFragmentCountOverlap", AT_RX_ADVANCE, SharedFragment },
    { "InvalidRingRxPacketFragmentOffsetInvalid", AT_CAPABILITIES, SmallBuffers },
    { "InvalidRingRxPacketFragmentOffsetInvalid", AT_RX_ADVANCE, OffsetBeyond },
    { "InvalidRingRxPacketFragmentLengthInvalid", AT_RX_ADVANCE, LengthBeyond },
    { "InvalidRingRxPacketLayer2Type", AT_RX_ADVANCE, Layer2Type },
    { "InvalidRingRxPacketLayer2TypeNullLengthNonZero", AT_RX_ADVANCE, Layer2Null },
    { "InvalidRingRxPacketLayer2TypeEthernetLengthInvalid", AT_RX_ADVANCE, Layer2Ethernet },
    { "InvalidRingRxPacketLayer3Type", AT_RX_ADVANCE, Layer3Type },
    { "InvalidRingRxPacketLayer3TypeIPv4LengthInvalid", AT_RX_ADVANCE, Layer3IPv4 },
    { "InvalidRingRxPacketLayer3TypeIPv6LengthInvalid", AT_RX_ADVANCE, Layer3IPv6 },
    { "InvalidRingRxPacketLayer4Type", AT_RX_ADVANCE, Layer4Type },
    { "InvalidRingRxPacketLayer4TypeTcpLengthInvalid", AT_RX_ADVANCE, Layer4Tcp },
    { "InvalidRingRxPacketLayer4TypeUdpLengthInvalid", AT_RX_ADVANCE, Layer4Udp },
    { NULL, AT_RX_ADVANCE, NULL }
};
