/* Offloads: says what each callback is told is enabled, and what packets carry. */
#define HAVE_STATE
#define HAVE_SENT
#define HAVE_RECEIVED
#define HAVE_DO
#include "surface.h"

enum { Pause = 1, Resume = 2, Evaluate = 3, Coalesce = 4, Datagrams = 5 };

static ULONG Mode;          /* what is written beside received packets */
static ULONG Argument;

static EVT_NET_ADAPTER_OFFLOAD_SET_TX_CHECKSUM SetTxChecksum;
static void SetTxChecksum(NETADAPTER adapter, NETOFFLOAD offload)
{
    CHECK(adapter == Adapter);
    SAY("tx checksum ipv4 %u tcp %u udp %u", NetOffloadIsTxChecksumIPv4Enabled(offload), NetOffloadIsTxChecksumTcpEnabled(offload), NetOffloadIsTxChecksumUdpEnabled(offload));
}

static EVT_NET_ADAPTER_OFFLOAD_SET_RX_CHECKSUM SetRxChecksum;
static void SetRxChecksum(NETADAPTER adapter, NETOFFLOAD offload)
{
    CHECK(adapter == Adapter);
    SAY("rx checksum ipv4 %u tcp %u udp %u", NetOffloadIsRxChecksumIPv4Enabled(offload), NetOffloadIsRxChecksumTcpEnabled(offload), NetOffloadIsRxChecksumUdpEnabled(offload));
}

static EVT_NET_ADAPTER_OFFLOAD_SET_GSO SetGso;
static void SetGso(NETADAPTER adapter, NETOFFLOAD offload)
{
    CHECK(adapter == Adapter);
    SAY("lso ipv4 %u ipv6 %u uso ipv4 %u ipv6 %u", NetOffloadIsLsoIPv4Enabled(offload), NetOffloadIsLsoIPv6Enabled(offload), NetOffloadIsUsoIPv4Enabled(offload), NetOffloadIsUsoIPv6Enabled(offload));
}

static EVT_NET_ADAPTER_OFFLOAD_SET_RSC SetRsc;
static void SetRsc(NETADAPTER adapter, NETOFFLOAD offload)
{
    CHECK(adapter == Adapter);
    SAY("rsc ipv4 %u ipv6 %u timestamp %u udp %u", NetOffloadIsTcpRscIPv4Enabled(offload), NetOffloadIsTcpRscIPv6Enabled(offload), NetOffloadIsRscTcpTimestampOptionEnabled(offload), NetOffloadIsUdpRscEnabled(offload));
}

/* All that the configuration does not take away. */
static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_ADAPTER_OFFLOAD_LAYER3_FLAGS all3 = NetAdapterOffloadLayer3FlagIPv4NoOptions | NetAdapterOffloadLayer3FlagIPv4WithOptions | NetAdapterOffloadLayer3FlagIPv6NoExtensions | NetAdapterOffloadLayer3FlagIPv6WithExtensions;
    NET_ADAPTER_OFFLOAD_LAYER4_FLAGS all4 = NetAdapterOffloadLayer4FlagTcpNoOptions | NetAdapterOffloadLayer4FlagTcpWithOptions | NetAdapterOffloadLayer4FlagUdp;
    NET_ADAPTER_OFFLOAD_LAYER3_FLAGS layer3 = (NET_ADAPTER_OFFLOAD_LAYER3_FLAGS)(all3 & Configured(adapter, L"Layer3", 15));
    NET_ADAPTER_OFFLOAD_LAYER4_FLAGS layer4 = (NET_ADAPTER_OFFLOAD_LAYER4_FLAGS)(all4 & Configured(adapter, L"Layer4", 7));
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES tx;
    NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES rx;
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES gso;
    NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES rsc;
    UNREFERENCED_PARAMETER(device);
    if (Configured(adapter, L"None", 0))
        return;
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES_INIT(&tx, layer3, SetTxChecksum);
    tx.Layer4Flags = layer4;
    NetAdapterOffloadSetTxChecksumCapabilities(adapter, &tx);
    NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES_INIT(&rx, SetRxChecksum);
    NetAdapterOffloadSetRxChecksumCapabilities(adapter, &rx);
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES_INIT(&gso, layer3, layer4, Configured(adapter, L"Largest", 60000), 2, SetGso);
    NetAdapterOffloadSetGsoCapabilities(adapter, &gso);
    NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES_INIT(&rsc, layer3, layer4, SetRsc);
    rsc.TcpTimestampOption = (BOOLEAN)Configured(adapter, L"Timestamp", 1);
    NetAdapterOffloadSetRscCapabilities(adapter, &rsc);
}

static void Sent(QUEUE *queue, UINT32 index, FRAME *frame)
{
    NET_PACKET const *packet = NetRingGetPacketAtIndex(NetRingCollectionGetPacketRing(queue->Rings), index);
    NET_PACKET_LSO const *lso = NetExtensionGetPacketLso(&queue->Lso, index);
    CHECK(queue->Lso.Enabled && lso->TCP.Mss == 0);
    if (!queue->Checksum.Enabled) {
        SAY("sent %u bytes, nothing left to do", frame->Length);
        return;
    }
    NET_PACKET_CHECKSUM const *sums = NetExtensionGetPacketChecksum(&queue->Checksum, index);
    NET_PACKET_GSO const *gso = NetExtensionGetPacketGso(&queue->Gso, index);
    CHECK(sums->Layer2 == NetPacketTxChecksumActionPassthrough);
    SAY("sent %u bytes ipv%u l3 %s l4 %s mss %u", frame->Length, NetPacketIsIpv4(packet) ? 4 : NetPacketIsIpv6(packet) ? 6 : 0,
        sums->Layer3 == NetPacketTxChecksumActionRequired ? "required" : "-",
        sums->Layer4 == NetPacketTxChecksumActionRequired ? "required" : "-",
        packet->Layout.Layer4Type == NetPacketLayer4TypeUdp ? gso->UDP.Mss : gso->TCP.Mss);
}

static void Received(QUEUE *queue, UINT32 index, FRAME *frame)
{
    static UINT8 const found[] = { NetPacketRxChecksumEvaluationNotChecked, NetPacketRxChecksumEvaluationValid, NetPacketRxChecksumEvaluationInvalid };
    UNREFERENCED_PARAMETER(frame);
    if (!queue->Checksum.Enabled)
        return;
    NET_PACKET_CHECKSUM *sums = NetExtensionGetPacketChecksum(&queue->Checksum, index);
    NET_PACKET_RSC *rsc = NetExtensionGetPacketRsc(&queue->Rsc, index);
    CHECK(sums->Layer3 == NetPacketRxChecksumEvaluationNotChecked && sums->Layer4 == NetPacketRxChecksumEvaluationNotChecked);
    CHECK(rsc->TCP.CoalescedSegmentCount == 0 && rsc->TCP.DuplicateAckCount == 0);
    if (Mode == Evaluate) {
        sums->Layer3 = NetPacketRxChecksumEvaluationValid;
        sums->Layer4 = found[Argument % 3] & 3;
    }
    if (Mode == Coalesce) {
        rsc->TCP.CoalescedSegmentCount = (UINT16)Argument;
        CHECK(queue->Timestamp.Enabled);
        NET_PACKET_RSC_TIMESTAMP *timestamp = NetExtensionGetPacketRscTimestamp(&queue->Timestamp, index);
        SAY("timestamp was %u", timestamp->TCP.RscTcpTimestampDelta);
        timestamp->TCP.RscTcpTimestampDelta = 77;
    }
    if (Mode == Datagrams) {
        rsc->UDP.CoalescedSegmentCount = 2;
        rsc->UDP.CoalescedSegmentSize = (UINT16)Argument;
    }
}

static void Do(ULONG number, ULONG argument)
{
    Mode = number;
    Argument = argument;
    if (number == Pause)
        NetAdapterPauseOffloadCapabilities(Adapter);
    if (number == Resume)
        NetAdapterResumeOffloadCapabilities(Adapter);
}
