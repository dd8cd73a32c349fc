/*
 * Two adapters joined by a wire, in one driver: what one sends, the other
 * receives. The wire does what good hardware does. A packet to be segmented
 * crosses it whole and arrives as one coalesced packet (RSC), whose checksums
 * count as good; a checksum that was left to the hardware is never computed,
 * because nothing can happen to a frame between here and there.
 */
#include <initguid.h>
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/checksum.h>
#include <net/gso.h>
#include <net/rsc.h>
#include <net/virtualaddress.h>

namespace {

constexpr ULONG Mtu = 1500;
constexpr SIZE_T LargestPacket = 0xffff;
constexpr ULONG64 Speed = 10'000'000'000;

struct End;

/* What a queue of either direction knows. */
struct Queue {
    End *end;
    NET_RING_COLLECTION const *rings;
    NET_EXTENSION address, checksum, gso, rsc;
    bool cancelled;

    NET_RING *packets() const { return NetRingCollectionGetPacketRing(rings); }
    NET_RING *fragments() const { return NetRingCollectionGetFragmentRing(rings); }
    UCHAR *data(UINT32 index) const
    {
        return static_cast<UCHAR *>(NetExtensionGetFragmentVirtualAddress(&address, index)->VirtualAddress);
    }
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Queue, GetQueue);

/* One end of the wire: the context of an adapter. */
struct End {
    End *peer;
    NETPACKETQUEUE rx;          /* NULL while there is none */
    WDFSPINLOCK lock;           /* over the Rx ring's client indices and `rx` */
    bool coalesces;             /* the system takes coalesced packets */
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(End, GetEnd);

struct Device {
    NETADAPTER adapters[2];
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Device, GetDevice);

SIZE_T Length(Queue const &q, NET_PACKET const &packet)
{
    SIZE_T length = 0;
    for (UINT32 i = 0; i < packet.FragmentCount; i++)
        length += NetRingGetFragmentAtIndex(q.fragments(), NetRingAdvanceIndex(q.fragments(), packet.FragmentIndex, INT32(i)))->ValidLength;
    return length;
}

/* Copies a packet over consecutive receive fragments; returns how many, 0: no room. */
UINT16 Copy(Queue const &tx, NET_PACKET const &sent, Queue const &rx)
{
    SIZE_T left = Length(tx, sent), room = 0;
    UINT32 to = rx.fragments()->NextIndex;
    UINT16 used = 0;
    UINT32 from = 0;
    SIZE_T skip = 0;
    for (; left != 0; used++, to = NetRingIncrementIndex(rx.fragments(), to)) {
        if (to == rx.fragments()->EndIndex)
            return 0;
        NET_FRAGMENT *target = NetRingGetFragmentAtIndex(rx.fragments(), to);
        SIZE_T filled = 0;
        room = target->Capacity;
        while (left != 0 && filled < room) {
            UINT32 index = NetRingAdvanceIndex(tx.fragments(), sent.FragmentIndex, INT32(from));
            NET_FRAGMENT const *source = NetRingGetFragmentAtIndex(tx.fragments(), index);
            SIZE_T bytes = source->ValidLength - skip;
            if (bytes > room - filled)
                bytes = room - filled;
            RtlCopyMemory(rx.data(to) + filled, tx.data(index) + source->Offset + skip, bytes);
            filled += bytes;
            left -= bytes;
            skip += bytes;
            if (skip == source->ValidLength) {
                skip = 0;
                from++;
            }
        }
        target->Offset = 0;
        target->ValidLength = filled;
    }
    return used;
}

/* What offloads made of the packet, told to the receiving side. */
void Describe(Queue const &tx, UINT32 sentIndex, NET_PACKET const &sent, SIZE_T length, Queue const &rx, UINT32 index)
{
    NET_PACKET *received = NetRingGetPacketAtIndex(rx.packets(), index);
    received->Layout = sent.Layout;
    if (rx.checksum.Enabled) {
        NET_PACKET_CHECKSUM *found = NetExtensionGetPacketChecksum(&rx.checksum, index);
        bool left = tx.checksum.Enabled && NetExtensionGetPacketChecksum(&tx.checksum, sentIndex)->Layer4 == NetPacketTxChecksumActionRequired;
        bool segmented = tx.gso.Enabled && NetExtensionGetPacketGso(&tx.gso, sentIndex)->TCP.Mss != 0;
        found->Layer3 = left || segmented ? NetPacketRxChecksumEvaluationValid : NetPacketRxChecksumEvaluationNotChecked;
        found->Layer4 = found->Layer3;
    }
    if (!rx.rsc.Enabled || !tx.gso.Enabled)
        return;
    UINT32 mss = NetExtensionGetPacketGso(&tx.gso, sentIndex)->TCP.Mss;
    SIZE_T headers = SIZE_T(sent.Layout.Layer2HeaderLength) + sent.Layout.Layer3HeaderLength + sent.Layout.Layer4HeaderLength;
    NET_PACKET_RSC *rsc = NetExtensionGetPacketRsc(&rx.rsc, index);
    RtlZeroMemory(rsc, sizeof *rsc);
    if (mss == 0 || length <= headers + mss)
        return;
    auto segments = UINT16((length - headers + mss - 1) / mss);
    if (sent.Layout.Layer4Type == NetPacketLayer4TypeUdp) {
        rsc->UDP.CoalescedSegmentCount = segments;
        rsc->UDP.CoalescedSegmentSize = UINT16(mss);
    } else {
        rsc->TCP.CoalescedSegmentCount = segments;
        rsc->TCP.DuplicateAckCount = 0;
    }
}

/* Carries one packet; without room for it, it is lost. The lock is held. */
void Carry(Queue const &tx, UINT32 sentIndex, Queue const &rx)
{
    NET_PACKET const &sent = *NetRingGetPacketAtIndex(tx.packets(), sentIndex);
    NET_RING *packets = rx.packets(), *fragments = rx.fragments();
    if (rx.cancelled || sent.Ignore || packets->NextIndex == packets->EndIndex)
        return;
    UINT16 count = Copy(tx, sent, rx);
    if (count == 0)
        return;
    NET_PACKET *received = NetRingGetPacketAtIndex(packets, packets->NextIndex);
    received->FragmentIndex = fragments->NextIndex;
    received->FragmentCount = count;
    Describe(tx, sentIndex, sent, Length(tx, sent), rx, packets->NextIndex);
    packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex);
    fragments->NextIndex = NetRingAdvanceIndex(fragments, fragments->NextIndex, count);
}

void EvtTxAdvance(NETPACKETQUEUE handle)
{
    Queue &tx = *GetQueue(handle);
    End &peer = *tx.end->peer;
    NET_RING *packets = tx.packets(), *fragments = tx.fragments();
    WdfSpinLockAcquire(peer.lock);
    for (; packets->BeginIndex != packets->EndIndex; packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex)) {
        NET_PACKET const *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        if (peer.rx)
            Carry(tx, packets->BeginIndex, *GetQueue(peer.rx));
        if (!packet->Ignore)
            fragments->BeginIndex = NetRingAdvanceIndex(fragments, packet->FragmentIndex, packet->FragmentCount);
    }
    if (peer.rx)
        NetRxQueueNotifyMoreReceivedPacketsAvailable(peer.rx);
    WdfSpinLockRelease(peer.lock);
}

void EvtRxAdvance(NETPACKETQUEUE handle)
{
    Queue &rx = *GetQueue(handle);
    NET_RING *packets = rx.packets(), *fragments = rx.fragments();
    WdfSpinLockAcquire(rx.end->lock);
    if (rx.cancelled) {
        for (; packets->NextIndex != packets->EndIndex; packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex))
            NetRingGetPacketAtIndex(packets, packets->NextIndex)->Ignore = 1;
        fragments->NextIndex = fragments->EndIndex;
    }
    packets->BeginIndex = packets->NextIndex;
    fragments->BeginIndex = fragments->NextIndex;
    WdfSpinLockRelease(rx.end->lock);
}

void EvtSetNotificationEnabled(NETPACKETQUEUE, BOOLEAN) {}

void EvtTxCancel(NETPACKETQUEUE) {}

void EvtRxCancel(NETPACKETQUEUE handle)
{
    Queue &rx = *GetQueue(handle);
    WdfSpinLockAcquire(rx.end->lock);
    rx.cancelled = true;
    WdfSpinLockRelease(rx.end->lock);
}

void EvtRxCleanup(WDFOBJECT handle)
{
    End *end = GetQueue(handle)->end;
    if (!end)
        return;
    WdfSpinLockAcquire(end->lock);
    end->rx = nullptr;
    WdfSpinLockRelease(end->lock);
}

using GetExtension = decltype(&NetTxQueueGetExtension);

NET_EXTENSION Ask(NETPACKETQUEUE queue, GetExtension get, PCWSTR name, ULONG version, NET_EXTENSION_TYPE type)
{
    NET_EXTENSION_QUERY query;
    NET_EXTENSION extension;
    NET_EXTENSION_QUERY_INIT(&query, name, version, type);
    get(queue, &query, &extension);
    return extension;
}

void Prepare(Queue &q, NETPACKETQUEUE handle, NETADAPTER adapter, NET_RING_COLLECTION const *rings, GetExtension get)
{
    q.end = GetEnd(adapter);
    q.rings = rings;
    q.address = Ask(handle, get, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    q.checksum = Ask(handle, get, NET_PACKET_EXTENSION_CHECKSUM_NAME, NET_PACKET_EXTENSION_CHECKSUM_VERSION_1, NetExtensionTypePacket);
    q.gso = Ask(handle, get, NET_PACKET_EXTENSION_GSO_NAME, NET_PACKET_EXTENSION_GSO_VERSION_1, NetExtensionTypePacket);
    q.rsc = Ask(handle, get, NET_PACKET_EXTENSION_RSC_NAME, NET_PACKET_EXTENSION_RSC_VERSION_2, NetExtensionTypePacket);
}

NTSTATUS EvtCreateTxQueue(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Queue);
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, EvtTxAdvance, EvtSetNotificationEnabled, EvtTxCancel);
    NETPACKETQUEUE queue;
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &queue);
    if (NT_SUCCESS(status))
        Prepare(*GetQueue(queue), queue, adapter, NetTxQueueGetRingCollection(queue), NetTxQueueGetExtension);
    return status;
}

NTSTATUS EvtCreateRxQueue(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Queue);
    attributes.EvtCleanupCallback = EvtRxCleanup;
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, EvtRxAdvance, EvtSetNotificationEnabled, EvtRxCancel);
    NETPACKETQUEUE queue;
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &queue);
    if (!NT_SUCCESS(status))
        return status;
    Prepare(*GetQueue(queue), queue, adapter, NetRxQueueGetRingCollection(queue), NetRxQueueGetExtension);
    End *end = GetEnd(adapter);
    WdfSpinLockAcquire(end->lock);
    end->rx = queue;
    WdfSpinLockRelease(end->lock);
    return status;
}

void EvtSetOffload(NETADAPTER, NETOFFLOAD) {}

void EvtSetRsc(NETADAPTER adapter, NETOFFLOAD offload)
{
    GetEnd(adapter)->coalesces = NetOffloadIsTcpRscIPv4Enabled(offload) || NetOffloadIsUdpRscEnabled(offload);
}

void SetOffloads(NETADAPTER adapter)
{
    auto const layer3 = NetAdapterOffloadLayer3FlagIPv4NoOptions | NetAdapterOffloadLayer3FlagIPv4WithOptions |
                        NetAdapterOffloadLayer3FlagIPv6NoExtensions | NetAdapterOffloadLayer3FlagIPv6WithExtensions;
    auto const layer4 = NetAdapterOffloadLayer4FlagTcpNoOptions | NetAdapterOffloadLayer4FlagTcpWithOptions | NetAdapterOffloadLayer4FlagUdp;

    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES tx;
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES_INIT(&tx, layer3, EvtSetOffload);
    tx.Layer4Flags = layer4;
    NetAdapterOffloadSetTxChecksumCapabilities(adapter, &tx);

    NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES rx;
    NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES_INIT(&rx, EvtSetOffload);
    NetAdapterOffloadSetRxChecksumCapabilities(adapter, &rx);

    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES gso;
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES_INIT(&gso, layer3, layer4, LargestPacket, 2, EvtSetOffload);
    NetAdapterOffloadSetGsoCapabilities(adapter, &gso);

    NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES rsc;
    NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES_INIT(&rsc, layer3, NetAdapterOffloadLayer4FlagTcpNoOptions | NetAdapterOffloadLayer4FlagUdp, EvtSetRsc);
    NetAdapterOffloadSetRscCapabilities(adapter, &rsc);
}

NTSTATUS StartEnd(NETADAPTER adapter, UCHAR number)
{
    UCHAR const mac[6] = { 0x02, 'w', 'i', 'r', 'e', number };
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, Speed, Speed);
    NetAdapterSetLinkLayerCapabilities(adapter, &link);
    NetAdapterSetLinkLayerMtuSize(adapter, Mtu);

    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof mac, mac);
    NetAdapterSetPermanentLinkLayerAddress(adapter, &address);
    NetAdapterSetCurrentLinkLayerAddress(adapter, &address);

    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, LargestPacket, 1);
    NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
    SetOffloads(adapter);

    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_STATE_INIT(&state, Speed, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(adapter, &state);
    return NetAdapterStart(adapter);
}

NTSTATUS EvtPrepareHardware(WDFDEVICE device, WDFCMRESLIST, WDFCMRESLIST)
{
    for (UCHAR i = 0; i < 2; i++) {
        NTSTATUS status = StartEnd(GetDevice(device)->adapters[i], i);
        if (!NT_SUCCESS(status))
            return status;
    }
    return STATUS_SUCCESS;
}

NTSTATUS CreateEnd(WDFDEVICE device, NETADAPTER *adapter)
{
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS datapath;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&datapath, EvtCreateTxQueue, EvtCreateRxQueue);
    NetAdapterInitSetDatapathCallbacks(init, &datapath);
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, End);
    NTSTATUS status = NetAdapterCreate(init, &attributes, adapter);
    NetAdapterInitFree(init);
    if (!NT_SUCCESS(status))
        return status;
    /* Both ends' locks outlive both adapters. */
    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = device;
    return WdfSpinLockCreate(&attributes, &GetEnd(*adapter)->lock);
}

NTSTATUS EvtDeviceAdd(WDFDRIVER, PWDFDEVICE_INIT init)
{
    NTSTATUS status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS callbacks;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&callbacks);
    callbacks.EvtDevicePrepareHardware = EvtPrepareHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &callbacks);
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Device);
    WDFDEVICE device;
    status = WdfDeviceCreate(&init, &attributes, &device);
    for (int i = 0; NT_SUCCESS(status) && i < 2; i++)
        status = CreateEnd(device, &GetDevice(device)->adapters[i]);
    if (!NT_SUCCESS(status))
        return status;
    End *a = GetEnd(GetDevice(device)->adapters[0]), *b = GetEnd(GetDevice(device)->adapters[1]);
    a->peer = b;
    b->peer = a;
    return STATUS_SUCCESS;
}

}

extern "C" NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registryPath)
{
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, EvtDeviceAdd);
    return WdfDriverCreate(driver, registryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
