/* 802.1Q: says the tag of each packet that is sent, and gives it back as one that was stripped. */
#define HAVE_STATE
#define HAVE_SENT
#define HAVE_RECEIVED
#include "surface.h"

static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_CAPABILITIES tagging;
    NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_FLAGS all = NetAdapterOffloadIeee8021PriorityTaggingFlag | NetAdapterOffloadIeee8021VlanTaggingFlag;
    UNREFERENCED_PARAMETER(device);
    NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_CAPABILITIES_INIT(&tagging, (NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_FLAGS)(all & Configured(adapter, L"Flags", 3)));
    if (tagging.Flags)
        NetAdapterOffloadSetIeee8021qTagCapabilities(adapter, &tagging);
}

static void Sent(QUEUE *queue, UINT32 index, FRAME *frame)
{
    NET_PACKET_TX_IEEE8021Q_ACTION_FLAGS none = NetPacketTxIeee8021qActionFlagPassthrough;
    if (!queue->Tag.Enabled) {
        SAY("%u bytes, no extension", frame->Length);
        return;
    }
    NET_PACKET_IEEE8021Q const *tag = NetExtensionGetPacketIeee8021Q(&queue->Tag, index);
    SAY("%u bytes priority %u vlan %u%s%s%s", frame->Length, tag->PriorityCodePoint, tag->VlanIdentifier,
        tag->TxTagging == none ? " as it is" : "",
        tag->TxTagging & NetPacketTxIeee8021qActionFlagPriorityRequired ? " insert priority" : "",
        tag->TxTagging & NetPacketTxIeee8021qActionFlagVlanRequired ? " insert vlan" : "");
    frame->Tag = *tag;
}

static void Received(QUEUE *queue, UINT32 index, FRAME *frame)
{
    if (!queue->Tag.Enabled)
        return;
    NET_PACKET_IEEE8021Q *tag = NetExtensionGetPacketIeee8021Q(&queue->Tag, index);
    CHECK(tag->PriorityCodePoint == 0 && tag->VlanIdentifier == 0);
    tag->PriorityCodePoint = frame->Tag.PriorityCodePoint;
    tag->VlanIdentifier = frame->Tag.VlanIdentifier;
}
