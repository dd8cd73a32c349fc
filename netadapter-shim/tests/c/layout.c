/*
 * Prints, for every structure of the interface, its size, the offset of its
 * fields, and the bytes of those that have bit fields, one fact a line. The
 * test compares them with what the Rust side believes.
 */
#include <stdio.h>
#include <string.h>

#include <netadaptercx.h>
#include <net/checksum.h>
#include <net/gso.h>
#include <net/ieee8021q.h>
#include <net/packethash.h>
#include <net/rsc.h>
#include <net/virtualaddress.h>

#define SIZE(s) printf(#s " size %zu\n", sizeof(s))
#define AT(s, f) printf(#s "." #f " at %zu\n", offsetof(s, f))

static void bytes(const char *name, const void *value, size_t size)
{
    const unsigned char *byte = value;
    printf("%s bytes", name);
    while (size--)
        printf(" %02x", *byte++);
    printf("\n");
}

static void bit_fields(void)
{
    NET_PACKET packet;
    NET_FRAGMENT fragment;
    NET_PACKET_CHECKSUM checksum;
    NET_PACKET_GSO gso;

    memset(&packet, 0, sizeof packet);
    packet.FragmentIndex = 0x01020304;
    packet.FragmentCount = 0x0506;
    packet.Layout.Layer2HeaderLength = 18;
    packet.Layout.Layer3HeaderLength = 300;
    packet.Layout.Layer4HeaderLength = 60;
    packet.Layout.Layer2Type = 2;
    packet.Layout.Layer3Type = 5;
    packet.Layout.Layer4Type = 1;
    packet.Ignore = 1;
    packet.Scratch = 1;
    bytes("NET_PACKET", &packet, sizeof packet);

    memset(&fragment, 0, sizeof fragment);
    fragment.ValidLength = 1514;
    fragment.Capacity = 65550;
    fragment.Offset = 1000;
    fragment.Scratch = 1;
    bytes("NET_FRAGMENT", &fragment, sizeof fragment);

    memset(&checksum, 0, sizeof checksum);
    checksum.Layer3 = 1;
    checksum.Layer4 = 2;
    bytes("NET_PACKET_CHECKSUM", &checksum, sizeof checksum);

    memset(&gso, 0, sizeof gso);
    gso.TCP.Mss = 1448;
    bytes("NET_PACKET_GSO", &gso, sizeof gso);
}

int main(void)
{
    SIZE(NET_RING);
    AT(NET_RING, ElementStride);
    AT(NET_RING, NumberOfElements);
    AT(NET_RING, ElementIndexMask);
    AT(NET_RING, EndIndex);
    AT(NET_RING, OSReserved0);
    AT(NET_RING, BeginIndex);
    AT(NET_RING, NextIndex);
    AT(NET_RING, Scratch);
    AT(NET_RING, Buffer);
    SIZE(NET_RING_COLLECTION);
    SIZE(NET_PACKET_LAYOUT);
    SIZE(NET_PACKET);
    AT(NET_PACKET, FragmentCount);
    AT(NET_PACKET, Layout);
    SIZE(NET_FRAGMENT);
    SIZE(NET_EXTENSION);
    AT(NET_EXTENSION, Enabled);
    SIZE(NET_PACKET_CHECKSUM);
    SIZE(NET_PACKET_GSO);
    SIZE(NET_PACKET_RSC);
    SIZE(NET_PACKET_RSC_TIMESTAMP);
    SIZE(NET_PACKET_IEEE8021Q);
    SIZE(NET_PACKET_HASH);
    AT(NET_PACKET_HASH, ProtocolType);
    SIZE(NET_FRAGMENT_VIRTUAL_ADDRESS);
    SIZE(NET_ADAPTER_DATAPATH_CALLBACKS);
    AT(NET_ADAPTER_DATAPATH_CALLBACKS, EvtAdapterCreateTxQueue);
    AT(NET_ADAPTER_DATAPATH_CALLBACKS, EvtAdapterCreateRxQueue);
    SIZE(NET_PACKET_QUEUE_CONFIG);
    AT(NET_PACKET_QUEUE_CONFIG, EvtStart);
    AT(NET_PACKET_QUEUE_CONFIG, EvtStop);
    AT(NET_PACKET_QUEUE_CONFIG, EvtAdvance);
    AT(NET_PACKET_QUEUE_CONFIG, EvtSetNotificationEnabled);
    AT(NET_PACKET_QUEUE_CONFIG, EvtCancel);
    AT(NET_PACKET_QUEUE_CONFIG, ExecutionContext);
    SIZE(NET_ADAPTER_LINK_LAYER_ADDRESS);
    AT(NET_ADAPTER_LINK_LAYER_ADDRESS, Address);
    SIZE(NET_ADAPTER_LINK_LAYER_CAPABILITIES);
    AT(NET_ADAPTER_LINK_LAYER_CAPABILITIES, MaxTxLinkSpeed);
    AT(NET_ADAPTER_LINK_LAYER_CAPABILITIES, MaxRxLinkSpeed);
    SIZE(NET_ADAPTER_LINK_STATE);
    AT(NET_ADAPTER_LINK_STATE, TxLinkSpeed);
    AT(NET_ADAPTER_LINK_STATE, RxLinkSpeed);
    AT(NET_ADAPTER_LINK_STATE, MediaConnectState);
    AT(NET_ADAPTER_LINK_STATE, MediaDuplexState);
    AT(NET_ADAPTER_LINK_STATE, SupportedPauseFunctions);
    AT(NET_ADAPTER_LINK_STATE, AutoNegotiationFlags);
    SIZE(NET_ADAPTER_DMA_CAPABILITIES);
    AT(NET_ADAPTER_DMA_CAPABILITIES, DmaEnabler);
    AT(NET_ADAPTER_DMA_CAPABILITIES, MaximumPhysicalAddress);
    AT(NET_ADAPTER_DMA_CAPABILITIES, CacheEnabled);
    AT(NET_ADAPTER_DMA_CAPABILITIES, PreferredNode);
    SIZE(NET_ADAPTER_TX_CAPABILITIES);
    AT(NET_ADAPTER_TX_CAPABILITIES, MappingRequirement);
    AT(NET_ADAPTER_TX_CAPABILITIES, PayloadBackfill);
    AT(NET_ADAPTER_TX_CAPABILITIES, MaximumNumberOfFragments);
    AT(NET_ADAPTER_TX_CAPABILITIES, FragmentBufferAlignment);
    AT(NET_ADAPTER_TX_CAPABILITIES, FragmentRingNumberOfElementsHint);
    AT(NET_ADAPTER_TX_CAPABILITIES, MaximumNumberOfQueues);
    AT(NET_ADAPTER_TX_CAPABILITIES, DmaCapabilities);
    SIZE(NET_ADAPTER_RX_CAPABILITIES);
    AT(NET_ADAPTER_RX_CAPABILITIES, AllocationMode);
    AT(NET_ADAPTER_RX_CAPABILITIES, AttachmentMode);
    AT(NET_ADAPTER_RX_CAPABILITIES, FragmentRingNumberOfElementsHint);
    AT(NET_ADAPTER_RX_CAPABILITIES, MaximumFrameSize);
    AT(NET_ADAPTER_RX_CAPABILITIES, MaximumNumberOfQueues);
    AT(NET_ADAPTER_RX_CAPABILITIES, MappingRequirement);
    AT(NET_ADAPTER_RX_CAPABILITIES, FragmentBufferAlignment);
    AT(NET_ADAPTER_RX_CAPABILITIES, DmaCapabilities);
    SIZE(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES);
    AT(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES, SupportedPacketFilters);
    AT(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES, MaximumMulticastAddresses);
    AT(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES, EvtSetReceiveFilter);
    SIZE(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES);
    AT(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES, Layer3Flags);
    AT(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES, Layer4Flags);
    AT(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES, Layer3HeaderOffsetLimit);
    AT(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES, Layer4HeaderOffsetLimit);
    AT(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES, EvtAdapterOffloadSetTxChecksum);
    SIZE(NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES);
    AT(NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES, EvtAdapterOffloadSetRxChecksum);
    SIZE(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES);
    AT(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES, Layer3Flags);
    AT(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES, Layer4Flags);
    AT(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES, Layer4HeaderOffsetLimit);
    AT(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES, MaximumOffloadSize);
    AT(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES, MinimumSegmentCount);
    AT(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES, EvtAdapterOffloadSetGso);
    SIZE(NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES);
    AT(NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES, Layer3Flags);
    AT(NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES, Layer4Flags);
    AT(NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES, TcpTimestampOption);
    AT(NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES, EvtAdapterOffloadSetRsc);
    bit_fields();
    return 0;
}
