/*
 * What the headers do themselves, without a host: index arithmetic, iterators, extensions, and the
 * functions that fill structures. Runs by itself; compiled as C and as C++.
 */
#include <stdio.h>
#include <string.h>

#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/checksum.h>
#include <net/databuffer.h>
#include <net/gso.h>
#include <net/ieee8021q.h>
#include <net/logicaladdress.h>
#include <net/lso.h>
#include <net/mdl.h>
#include <net/netmemory.h>
#include <net/packethash.h>
#include <net/returncontext.h>
#include <net/rsc.h>
#include <net/virtualaddress.h>
#include <net/wdfmemory.h>
#include <preview/netringiterator.h>

static int Checks, Failures;

#define CHECK(what) (Checks++, (what) ? (void)0 : (void)(Failures++, printf("FAILED: line %d: %s\n", __LINE__, #what)))

enum { Elements = 8, Stride = 32 };

typedef union {
    NET_RING Ring;
    UCHAR Bytes[64 + Elements * Stride];
} MEMORY;

static MEMORY Packets, Fragments;
static NET_RING_COLLECTION Rings;

static void Empty(NET_RING *ring)
{
    memset(ring, 0, sizeof(MEMORY));
    ring->ElementStride = Stride;
    ring->NumberOfElements = Elements;
    ring->ElementIndexMask = Elements - 1;
}

static void Own(NET_RING *ring, UINT32 begin, UINT32 next, UINT32 end)
{
    ring->BeginIndex = begin;
    ring->NextIndex = next;
    ring->EndIndex = end;
}

static void RingArithmetic(void)
{
    NET_RING *ring = &Packets.Ring;
    CHECK(NetRingGetElementAtIndex(ring, 0) == ring->Buffer);
    CHECK((UCHAR *)NetRingGetElementAtIndex(ring, 5) == ring->Buffer + 5 * Stride);
    CHECK((void *)NetRingGetPacketAtIndex(ring, 7) == NetRingGetElementAtIndex(ring, 7));
    CHECK((void *)NetRingGetFragmentAtIndex(&Fragments.Ring, 3) == (void *)(Fragments.Ring.Buffer + 3 * Stride));
    CHECK(NetRingIncrementIndex(ring, 6) == 7 && NetRingIncrementIndex(ring, 7) == 0);
    CHECK(NetRingAdvanceIndex(ring, 6, 5) == 3 && NetRingAdvanceIndex(ring, 1, -3) == 6);
    CHECK(NetRingAdvanceIndex(ring, 4, 0) == 4 && NetRingAdvanceIndex(ring, 4, 8) == 4);
    CHECK(NetRingGetRangeCount(ring, 2, 6) == 4 && NetRingGetRangeCount(ring, 6, 2) == 4);
    CHECK(NetRingGetRangeCount(ring, 3, 3) == 0 && NetRingGetRangeCount(ring, 3, 2) == 7);
}

static void Collections(void)
{
    static UCHAR contexts[64];
    CHECK(NetRingCollectionGetPacketRing(&Rings) == &Packets.Ring);
    CHECK(NetRingCollectionGetFragmentRing(&Rings) == &Fragments.Ring);
    CHECK(NetRingCollectionGetFragmentReturnContextRing(&Rings) == NULL);
    Rings.Rings[NetRingTypeDataBuffer] = (NET_RING *)contexts;
    CHECK(NetRingCollectionGetFragmentReturnContextRing(&Rings) == (NET_RING *)contexts);
    Rings.Rings[NetRingTypeDataBuffer] = NULL;
}

static void PacketIterators(void)
{
    NET_RING *ring = &Packets.Ring;
    Own(ring, 6, 0, 3);
    NET_RING_PACKET_ITERATOR all = NetRingGetAllPackets(&Rings);
    NET_RING_PACKET_ITERATOR post = NetRingGetPostPackets(&Rings);
    NET_RING_PACKET_ITERATOR drain = NetRingGetDrainPackets(&Rings);
    CHECK(NetPacketIteratorGetCount(&all) == 5 && NetPacketIteratorGetIndex(&all) == 6);
    CHECK(NetPacketIteratorGetCount(&post) == 3 && NetPacketIteratorGetIndex(&post) == 0);
    CHECK(NetPacketIteratorGetCount(&drain) == 2 && NetPacketIteratorGetIndex(&drain) == 6);
    UINT32 steps = 0;
    for (; NetPacketIteratorHasAny(&post); NetPacketIteratorAdvance(&post))
        CHECK(NetPacketIteratorGetPacket(&post) == NetRingGetPacketAtIndex(ring, steps++));
    CHECK(steps == 3 && NetPacketIteratorGetCount(&post) == 0);
    CHECK(ring->NextIndex == 0);
    NetPacketIteratorSet(&post);
    CHECK(ring->NextIndex == 3 && ring->BeginIndex == 6);
    NetPacketIteratorAdvance(&drain);
    NetPacketIteratorSet(&drain);
    CHECK(ring->BeginIndex == 7 && ring->NextIndex == 3);
    NetPacketIteratorAdvanceToTheEnd(&all);
    CHECK(!NetPacketIteratorHasAny(&all) && ring->BeginIndex == 7);
    NetPacketIteratorSet(&all);
    CHECK(ring->BeginIndex == 3 && ring->EndIndex == 3);
}

static void FragmentIterators(void)
{
    NET_RING *ring = &Fragments.Ring;
    Own(ring, 5, 7, 2);
    NET_RING_FRAGMENT_ITERATOR all = NetRingGetAllFragments(&Rings);
    NET_RING_FRAGMENT_ITERATOR post = NetRingGetPostFragments(&Rings);
    NET_RING_FRAGMENT_ITERATOR drain = NetRingGetDrainFragments(&Rings);
    CHECK(NetFragmentIteratorGetCount(&all) == 5 && NetFragmentIteratorGetCount(&post) == 3 && NetFragmentIteratorGetCount(&drain) == 2);
    NetFragmentIteratorAdvance(&post);
    CHECK(NetFragmentIteratorGetIndex(&post) == 0);
    CHECK(NetFragmentIteratorGetFragment(&post) == NetRingGetFragmentAtIndex(ring, 0));
    NetFragmentIteratorSet(&post);
    CHECK(ring->NextIndex == 0);
    NetFragmentIteratorAdvanceToTheEnd(&drain);
    CHECK(!NetFragmentIteratorHasAny(&drain));
    NetFragmentIteratorSet(&drain);
    CHECK(ring->BeginIndex == 7);
}

/* The fragments of one packet, and nothing committed by looking at them. */
static void FragmentsOfPackets(void)
{
    NET_RING *packets = &Packets.Ring, *fragments = &Fragments.Ring;
    Own(packets, 0, 0, 3);
    Own(fragments, 6, 6, 5);
    NET_PACKET *packet = NetRingGetPacketAtIndex(packets, 0);
    packet->FragmentIndex = 6;
    packet->FragmentCount = 4;
    NET_RING_PACKET_ITERATOR at = NetRingGetAllPackets(&Rings);
    NET_RING_FRAGMENT_ITERATOR run = NetPacketIteratorGetFragments(&at);
    UINT32 const places[4] = { 6, 7, 0, 1 };
    UINT32 steps = 0;
    CHECK(NetFragmentIteratorGetCount(&run) == 4);
    for (; NetFragmentIteratorHasAny(&run); NetFragmentIteratorAdvance(&run))
        CHECK(NetFragmentIteratorGetIndex(&run) == places[steps++]);
    NetFragmentIteratorSet(&run);
    CHECK(steps == 4 && fragments->BeginIndex == 6 && fragments->NextIndex == 6);
    /* A packet to be ignored has no fragments, wherever it says that they begin. */
    packet = NetRingGetPacketAtIndex(packets, 1);
    packet->Ignore = 1;
    packet->FragmentIndex = 0xffffffff;
    packet->FragmentCount = 0;
    NetPacketIteratorAdvance(&at);
    run = NetPacketIteratorGetFragments(&at);
    CHECK(!NetFragmentIteratorHasAny(&run) && NetFragmentIteratorGetCount(&run) == 0);
    CHECK(NetFragmentIteratorGetIndex(&run) == 7);
    NetPacketIteratorAdvance(&at);
    packet = NetRingGetPacketAtIndex(packets, 2);
    packet->FragmentIndex = 7;
    packet->FragmentCount = 1;
    run = NetPacketIteratorGetFragments(&at);
    CHECK(NetFragmentIteratorGetCount(&run) == 1 && NetFragmentIteratorGetIndex(&run) == 7);
    NET_RING_ITERATOR const *inner = &run.Iterator;
    CHECK(inner->Rings == &Rings && inner->IndexToSet == NULL && inner->End == 0);
}

static void PacketTypes(void)
{
    NET_PACKET packet;
    memset(&packet, 0, sizeof(packet));
    CHECK(!NetPacketIsIpv4(&packet) && !NetPacketIsIpv6(&packet));
    NET_PACKET_LAYER3_TYPE const four[] = { NetPacketLayer3TypeIPv4UnspecifiedOptions, NetPacketLayer3TypeIPv4WithOptions, NetPacketLayer3TypeIPv4NoOptions };
    NET_PACKET_LAYER3_TYPE const six[] = { NetPacketLayer3TypeIPv6UnspecifiedExtensions, NetPacketLayer3TypeIPv6WithExtensions, NetPacketLayer3TypeIPv6NoExtensions };
    for (int i = 0; i < 3; i++) {
        packet.Layout.Layer3Type = (UINT8)(four[i] & 0xf);
        CHECK(NetPacketIsIpv4(&packet) && !NetPacketIsIpv6(&packet));
        packet.Layout.Layer3Type = (UINT8)(six[i] & 0xf);
        CHECK(!NetPacketIsIpv4(&packet) && NetPacketIsIpv6(&packet));
    }
    CHECK((UCHAR *)NetPacketGetExtension(&packet, 4) == (UCHAR *)&packet + 4);
    /* Neighbours in the packed layout keep out of each other's bits. */
    NET_PACKET_LAYOUT layout;
    memset(&layout, 0, sizeof(layout));
    layout.Layer2HeaderLength = 127;
    CHECK(layout.Layer3HeaderLength == 0 && layout.Layer4HeaderLength == 0);
    layout.Layer2Type = NetPacketLayer2TypeEthernet;
    layout.Layer4Type = NetPacketLayer4TypeIPNotFragment;
    CHECK(layout.Layer3Type == 0 && layout.Layer2Type == NetPacketLayer2TypeEthernet && layout.Layer4Type == NetPacketLayer4TypeIPNotFragment);
    NET_FRAGMENT fragment;
    memset(&fragment, 0, sizeof(fragment));
    fragment.Offset = 1023;
    fragment.ValidLength = 0x3ffffff;
    CHECK(fragment.Capacity == 0 && fragment.Scratch == 0 && fragment.OsReserved_Bounced == 0 && fragment.Offset == 1023);
}

/* Each accessor reaches the element of its index and its own fields. */
static void Extensions(void)
{
    static union { UCHAR Bytes[Elements * Stride]; UINT64 Aligned; } storage;
    NET_EXTENSION extension;
    memset(&storage, 0, sizeof(storage));
    memset(&extension, 0, sizeof(extension));
    extension.Reserved[0] = storage.Bytes;
    extension.Reserved[1] = (void *)(SIZE_T)Stride;
    extension.Enabled = TRUE;
    UCHAR *third = storage.Bytes + 3 * Stride;
    CHECK(NetExtensionGetData(&extension, 3) == third);
    NetExtensionGetPacketChecksum(&extension, 3)->Layer4 = NetPacketTxChecksumActionRequired;
    CHECK(third[0] == 0x20);
    NetExtensionGetPacketGso(&extension, 3)->TCP.Mss = 0x12345;
    CHECK(third[0] == 0x45 && third[1] == 0x23 && third[2] == 1 && NetExtensionGetPacketGso(&extension, 3)->UDP.Mss == 0x12345);
    CHECK(NetExtensionGetPacketLso(&extension, 3)->TCP.Mss == 0x12345);
    NetExtensionGetPacketRsc(&extension, 3)->TCP.CoalescedSegmentCount = 7;
    NetExtensionGetPacketRsc(&extension, 3)->TCP.DuplicateAckCount = 9;
    CHECK(third[0] == 7 && third[2] == 9 && NetExtensionGetPacketRsc(&extension, 3)->UDP.CoalescedSegmentSize == 9);
    NetExtensionGetPacketRscTimestamp(&extension, 3)->TCP.RscTcpTimestampDelta = 0x01020304;
    CHECK(third[0] == 4 && third[3] == 1);
    NET_PACKET_IEEE8021Q *tag = NetExtensionGetPacketIeee8021Q(&extension, 3);
    memset(tag, 0, sizeof(*tag));
    tag->PriorityCodePoint = 5;
    tag->VlanIdentifier = 0x123;
    tag->TxTagging = (UINT8)(NetPacketTxIeee8021qActionFlagVlanRequired & 3);
    CHECK(third[0] == 0x1d && third[1] == 0x09 && third[2] == 2);
    NET_PACKET_HASH *hash = NetExtensionGetPacketHash(&extension, 3);
    hash->HashValue = 0xdeadbeef;
    hash->ProtocolType = NetPacketHashProtocolTypeIPv6 | NetPacketHashProtocolTypeUdp;
    CHECK(third[3] == 0xde && third[4] == 0x24);
    NetExtensionGetFragmentVirtualAddress(&extension, 3)->VirtualAddress = third;
    NET_FRAGMENT fragment;
    memset(&fragment, 0, sizeof(fragment));
    fragment.Offset = 10;
    CHECK(NetExtensionGetFragmentVirtualAddressOffset(&fragment, &extension, 3) == third + 10);
    NetExtensionGetFragmentLogicalAddress(&extension, 3)->LogicalAddress = 0x1122334455667788;
    CHECK(third[7] == 0x11);
    NET_FRAGMENT_LOGICAL_ADDRESS const *logical = NetExtensionGetFragmentLogicalAddress(&extension, 3);
    NET_FRAGMENT_VIRTUAL_ADDRESS const *address = NetExtensionGetFragmentVirtualAddress(&extension, 3);
    NET_FRAGMENT_MDL *mdl = NetExtensionGetFragmentMdl(&extension, 3);
    NET_FRAGMENT_RETURN_CONTEXT *context = NetExtensionGetFragmentReturnContext(&extension, 3);
    NET_FRAGMENT_DATA_BUFFER *buffer = NetExtensionGetFragmentDataBuffer(&extension, 3);
    NET_FRAGMENT_NET_MEMORY *memory = NetExtensionGetFragmentNetMemory(&extension, 3);
    NET_FRAGMENT_WDFMEMORY *wdf = NetExtensionGetFragmentWdfMemory(&extension, 3);
    CHECK((SIZE_T)address->VirtualAddress == logical->LogicalAddress);
    CHECK((void *)&mdl->Mdl == third && (void *)&context->Handle == third && (void *)&buffer->Handle == third);
    CHECK((void *)&memory->NetMemory == third && (void *)&wdf->WdfMemory == third);
    NET_EXTENSION_QUERY query;
    memset(&query, 0xff, sizeof(query));
    NET_EXTENSION_QUERY_INIT(&query, NET_PACKET_EXTENSION_RSC_NAME, NET_PACKET_EXTENSION_RSC_VERSION_2, NetExtensionTypePacket);
    CHECK(query.Size == 24 && query.Name[0] == 'm' && query.Version == 2 && query.Type == NetExtensionTypePacket);
}

static void TxCapabilities(void)
{
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_DMA_CAPABILITIES dma;
    memset(&tx, 0xff, sizeof(tx));
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 3);
    CHECK(tx.Size == sizeof(tx) && tx.MappingRequirement == NetMemoryMappingRequirementNone && tx.DmaCapabilities == NULL);
    CHECK(tx.FragmentBufferAlignment == 1 && tx.MaximumNumberOfFragments == (SIZE_T)-1 && tx.MaximumNumberOfQueues == 3);
    CHECK(tx.PayloadBackfill == 0 && tx.FragmentRingNumberOfElementsHint == 0);
    NET_ADAPTER_DMA_CAPABILITIES_INIT(&dma, NULL);
    CHECK(dma.Size == sizeof(dma) && dma.DmaEnabler == NULL && dma.CacheEnabled == WdfUseDefault);
    NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(&tx, &dma, 2);
    CHECK(tx.MappingRequirement == NetMemoryMappingRequirementDmaMapped && tx.DmaCapabilities == &dma && tx.MaximumNumberOfQueues == 2);
}

static EVT_NET_ADAPTER_RETURN_RX_BUFFER ReturnBuffer;
static void ReturnBuffer(NETADAPTER adapter, NET_FRAGMENT_RETURN_CONTEXT_HANDLE context)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(context);
}

static void RxCapabilities(void)
{
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_DMA_CAPABILITIES dma;
    memset(&rx, 0xff, sizeof(rx));
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 1514, 4);
    CHECK(rx.Size == sizeof(rx) && rx.AllocationMode == NetRxFragmentBufferAllocationModeSystem && rx.AttachmentMode == NetRxFragmentBufferAttachmentModeSystem);
    CHECK(rx.MaximumFrameSize == 1514 && rx.MaximumNumberOfQueues == 4 && rx.DmaCapabilities == NULL && rx.MappingRequirement == NetMemoryMappingRequirementNone);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(&rx, &dma, 1514, 1);
    CHECK(rx.MappingRequirement == NetMemoryMappingRequirementDmaMapped && rx.DmaCapabilities == &dma);
    NET_ADAPTER_RX_CAPABILITIES_INIT_DRIVER_MANAGED(&rx, ReturnBuffer, 9000, 2);
    CHECK(rx.AllocationMode == NetRxFragmentBufferAllocationModeDriver && rx.AttachmentMode == NetRxFragmentBufferAttachmentModeDriver);
    CHECK(rx.EvtAdapterReturnRxBuffer == ReturnBuffer && rx.MaximumFrameSize == 9000);
}

static void LinkStructures(void)
{
    UCHAR const mac[6] = { 2, 3, 4, 5, 6, 7 };
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_LINK_STATE link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES layer;
    NET_LUID_LH luid;
    NET_EUI48_ADDRESS eui;
    memset(&address, 0xff, sizeof(address));
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, 6, mac);
    CHECK(address.Length == 6 && memcmp(address.Address, mac, 6) == 0 && address.Address[6] == 0);
    memset(&link, 0xff, sizeof(link));
    NET_ADAPTER_LINK_STATE_INIT(&link, 1000, MediaConnectStateConnected, MediaDuplexStateHalf, NetAdapterPauseFunctionTypeSendAndReceive, NetAdapterAutoNegotiationFlagDuplexAutoNegotiated);
    CHECK(link.Size == sizeof(link) && link.TxLinkSpeed == 1000 && link.RxLinkSpeed == 1000 && link.MediaConnectState == MediaConnectStateConnected);
    CHECK(link.MediaDuplexState == MediaDuplexStateHalf && link.SupportedPauseFunctions == NetAdapterPauseFunctionTypeSendAndReceive && link.AutoNegotiationFlags == NetAdapterAutoNegotiationFlagDuplexAutoNegotiated);
    NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED(&link);
    CHECK(link.MediaConnectState == MediaConnectStateDisconnected && link.TxLinkSpeed == NDIS_LINK_SPEED_UNKNOWN && link.MediaDuplexState == MediaDuplexStateUnknown);
    CHECK(link.SupportedPauseFunctions == NetAdapterPauseFunctionTypeUnsupported && link.AutoNegotiationFlags == NetAdapterAutoNegotiationFlagNone);
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&layer, 10, 20);
    CHECK(layer.Size == sizeof(layer) && layer.MaxTxLinkSpeed == 10 && layer.MaxRxLinkSpeed == 20);
    luid.Value = 0;
    luid.Info.IfType = IF_TYPE_ETHERNET_CSMACD;
    luid.Info.NetLuidIndex = 3;
    CHECK(luid.Value == ((ULONG64)6 << 48 | (ULONG64)3 << 24));
    memcpy(eui.Value, mac, sizeof(eui));
    CHECK(sizeof(eui) == 6 && eui.Value[5] == 7);
}

#define SIZED(structure) \
    do { \
        structure sized; \
        memset(&sized, 0xff, sizeof(sized)); \
        structure##_INIT(&sized); \
        CHECK(sized.Size == sizeof(structure) && ((UCHAR *)&sized)[sizeof(sized) - 1] == 0); \
        CHECK(NET_IS_STRUCTURE_AVAILABLE(structure) && NET_STRUCTURE_SIZE(structure) == sizeof(structure)); \
    } while (0)

static void SizedStructures(void)
{
    SIZED(NET_DEVICE_POWER_POLICY_EVENT_CALLBACKS);
    SIZED(NET_ADAPTER_WAKE_BITMAP_CAPABILITIES);
    SIZED(NET_ADAPTER_WAKE_MEDIA_CHANGE_CAPABILITIES);
    SIZED(NET_ADAPTER_WAKE_MAGIC_PACKET_CAPABILITIES);
    SIZED(NET_ADAPTER_WAKE_EAPOL_PACKET_CAPABILITIES);
    SIZED(NET_ADAPTER_WAKE_PACKET_FILTER_CAPABILITIES);
    SIZED(NET_POWER_OFFLOAD_LIST);
    SIZED(NET_WAKE_SOURCE_LIST);
    SIZED(NET_POWER_OFFLOAD_ARP_PARAMETERS);
    SIZED(NET_POWER_OFFLOAD_NS_PARAMETERS);
    SIZED(NET_WAKE_SOURCE_BITMAP_PARAMETERS);
    SIZED(NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS);
    SIZED(NET_ADAPTER_WAKE_REASON_PACKET);
    NET_ADAPTER_WAKE_REASON_PACKET reason;
    NET_ADAPTER_WAKE_REASON_MAGIC_PACKET_INIT(&reason);
    CHECK(reason.PatternId == 0xffffffff && reason.Size == sizeof(reason));
    NET_ADAPTER_WAKE_REASON_FILTER_PACKET_INIT(&reason);
    CHECK(reason.PatternId == 0xfffffffe);
    NET_ADAPTER_WAKE_REASON_EAPOL_PACKET_INIT(&reason);
    CHECK(reason.PatternId == 0xfffffffd);
}

static void FilledStructures(void)
{
    NET_ADAPTER_DATAPATH_CALLBACKS datapath;
    NET_PACKET_QUEUE_CONFIG queue;
    NET_ADAPTER_TX_DEMUX demux;
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES sums;
    NET_DEVICE_RESET_CAPABILITIES reset;
    GUID guid = { 1, 2, 3, { 4 } };
    memset(&datapath, 0xff, sizeof(datapath));
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&datapath, NULL, NULL);
    CHECK(datapath.Size == sizeof(datapath) && datapath.EvtAdapterCreateTxQueue == NULL);
    memset(&queue, 0xff, sizeof(queue));
    NET_PACKET_QUEUE_CONFIG_INIT(&queue, NULL, NULL, NULL);
    CHECK(queue.Size == sizeof(queue) && queue.EvtStart == NULL && queue.EvtStop == NULL && queue.ExecutionContext == NULL);
    NET_ADAPTER_TX_8021P_DEMUX_INIT(&demux);
    CHECK(demux.Size == sizeof(demux) && demux.Type == NetAdapterTxDemuxType8021p && demux.Range == 8);
    NET_ADAPTER_TX_8021P_DEMUX_INIT(&demux, 5);
    CHECK(demux.Size == sizeof(demux) && demux.Type == NetAdapterTxDemuxType8021p && demux.Range == 5);
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES_INIT(&sums, TRUE, FALSE, TRUE, NULL);
    CHECK(sums.Size == sizeof(sums) && sums.IPv4 && !sums.Tcp && sums.Udp);
    NET_DEVICE_RESET_CAPABILITIES_INIT(&reset, guid, NULL);
    CHECK(reset.Size == sizeof(reset) && reset.ResetDiagnosticsGuid.Data4[0] == 4 && reset.EvtNetDeviceCollectResetDiagnostics == NULL);
}

static void PowerOffloads(void)
{
    NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES arp;
    NET_ADAPTER_POWER_OFFLOAD_NS_CAPABILITIES ns;
    memset(&arp, 0xff, sizeof(arp));
    NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES_INIT(&arp, 3);
    CHECK(arp.Size == sizeof(arp) && !arp.ArpOffload && arp.MaximumOffloadCount == 3);
    memset(&ns, 0xff, sizeof(ns));
    NET_ADAPTER_POWER_OFFLOAD_NS_CAPABILITIES_INIT(&ns, 4);
    CHECK(ns.Size == sizeof(ns) && !ns.NSOffload && ns.MaximumOffloadCount == 4);
}

static void Addresses(void)
{
    NET_IPV4_ADDRESS four;
    NET_IPV6_ADDRESS six;
    four.Address = 0;
    four.Value[3] = 1;
    CHECK(four.Address == 0x01000000 && sizeof(four) == 4);
    memset(six.Value, 0x20, sizeof(six));
    CHECK(sizeof(six) == 16 && six.Unicast.InterfaceIdentifier == 0x2020202020202020);
}

/* Values that only other media, or the kernel, use. */
static void RareValues(void)
{
    NET_PACKET_LAYOUT layout;
    NET_PACKET_TX_IEEE8021Q_ACTION_FLAGS both = NetPacketTxIeee8021qActionFlagPriorityRequired | NetPacketTxIeee8021qActionFlagVlanRequired;
    memset(&layout, 0, sizeof(layout));
    CHECK(layout.Layer2Type == NetPacketLayer2TypeUnspecified && layout.Layer3Type == NetPacketLayer3TypeUnspecified && layout.Layer4Type == NetPacketLayer4TypeUnspecified);
    layout.Layer2Type = NetPacketLayer2TypeNull;
    CHECK(layout.Layer2Type == 1);
    CHECK(both == 3 && (both & ~NetPacketTxIeee8021qActionFlagPriorityRequired) == NetPacketTxIeee8021qActionFlagVlanRequired);
    UINT16 const hashed[] = { NetPacketHashProtocolTypeIPv4, NetPacketHashProtocolTypeIPv4Options, NetPacketHashProtocolTypeIPv6, NetPacketHashProtocolTypeIPv6Extensions, NetPacketHashProtocolTypeTcp, NetPacketHashProtocolTypeUdp };
    UINT32 const asked[] = { NetAdapterReceiveScalingProtocolTypeIPv4, NetAdapterReceiveScalingProtocolTypeIPv4Options, NetAdapterReceiveScalingProtocolTypeIPv6, NetAdapterReceiveScalingProtocolTypeIPv6Extensions, NetAdapterReceiveScalingProtocolTypeTcp, NetAdapterReceiveScalingProtocolTypeUdp };
    for (int i = 0; i < 6; i++)
        CHECK(hashed[i] == 1 << i && hashed[i] == asked[i]);
    CHECK((NetAdapterReceiveScalingEncapsulationTypeNVGre | NetAdapterReceiveScalingEncapsulationTypeVXLan | NetAdapterReceiveScalingEncapsulationTypeVLan) == 7);
    CHECK(NetAdapterReceiveScalingHashTypeNone == 0 && NetAdapterReceiveScalingUnhashedTargetTypeUnspecified == 0);
}

static void Probes(void)
{
    CHECK(NETADAPTER_VERSION_MAJOR == 2 && NETADAPTER_VERSION_MINOR == 5 && NET_MINIMUM_VERSION_REQUIRED == 5);
    CHECK(UmnetClient.NetMajor == NETADAPTER_VERSION_MAJOR && UmnetClient.NetMinor == NETADAPTER_VERSION_MINOR);
    /* Nobody has bound this program to a host. */
    CHECK(!NET_IS_FUNCTION_AVAILABLE(NetAdapterStart));
    UmnetFunctions[NetAdapterStartTableIndex] = &Checks;
    CHECK(NET_IS_FUNCTION_AVAILABLE(NetAdapterStart) && !NET_IS_FUNCTION_AVAILABLE(NetAdapterStop));
    CHECK(NET_IS_FIELD_AVAILABLE(NET_PACKET_QUEUE_CONFIG, ExecutionContext));
    CHECK(NET_STRUCTURE_SIZE(NET_PACKET_QUEUE_CONFIG) == 56);
}

int main(void)
{
    Empty(&Packets.Ring);
    Empty(&Fragments.Ring);
    Rings.Rings[NetRingTypePacket] = &Packets.Ring;
    Rings.Rings[NetRingTypeFragment] = &Fragments.Ring;
    RingArithmetic();
    Collections();
    PacketIterators();
    FragmentIterators();
    FragmentsOfPackets();
    PacketTypes();
    Extensions();
    TxCapabilities();
    RxCapabilities();
    LinkStructures();
    SizedStructures();
    FilledStructures();
    PowerOffloads();
    Addresses();
    RareValues();
    Probes();
    printf("%d checks, %d failures\n", Checks, Failures);
    return Failures != 0;
}
