/*
 * A network adapter that gives back what it is sent.
 *
 * One device, one adapter, one queue each way. A frame that the system sends is
 * copied into a receive buffer when there is one, and dropped when there is
 * none, as a wire would. Nothing here is umnet's own: the same source is a
 * user-mode NetAdapterCx driver on Windows.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>

#define MTU 1500
#define FRAME_SIZE (14 + MTU)
#define SPEED 1000000000ULL

typedef struct {
    NETPACKETQUEUE Tx, Rx;      /* NULL while there is none */
    WDFSPINLOCK Lock;           /* over the Rx ring's indices and the handles */
} LOOPBACK;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(LOOPBACK, GetLoopback)

typedef struct {
    LOOPBACK *Loopback;
    NET_RING_COLLECTION const *Rings;
    NET_EXTENSION Address;
    BOOLEAN Cancelled;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static UCHAR *Data(QUEUE *q, UINT32 index)
{
    return (UCHAR *)NetExtensionGetFragmentVirtualAddress(&q->Address, index)->VirtualAddress;
}

/* Puts one sent packet into the next receive buffer. The lock is held. */
static void Deliver(QUEUE *tx, NET_PACKET const *sent, QUEUE *rx)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(rx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rx->Rings);
    NET_RING *source = NetRingCollectionGetFragmentRing(tx->Rings);
    UINT32 at = fragments->NextIndex;
    if (rx->Cancelled || sent->Ignore || at == fragments->EndIndex || packets->NextIndex == packets->EndIndex)
        return;
    NET_FRAGMENT *to = NetRingGetFragmentAtIndex(fragments, at);
    SIZE_T length = 0;
    for (UINT32 i = 0; i < sent->FragmentCount; i++) {
        UINT32 index = NetRingAdvanceIndex(source, sent->FragmentIndex, (INT32)i);
        NET_FRAGMENT const *from = NetRingGetFragmentAtIndex(source, index);
        if (length + from->ValidLength > to->Capacity)
            return;
        RtlCopyMemory(Data(rx, at) + length, Data(tx, index) + from->Offset, from->ValidLength);
        length += from->ValidLength;
    }
    to->Offset = 0;
    to->ValidLength = length;
    NET_PACKET *received = NetRingGetPacketAtIndex(packets, packets->NextIndex);
    received->FragmentIndex = at;
    received->FragmentCount = 1;
    RtlZeroMemory(&received->Layout, sizeof received->Layout);
    packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex);
    fragments->NextIndex = NetRingIncrementIndex(fragments, at);
}

static void TxAdvance(NETPACKETQUEUE queue)
{
    QUEUE *tx = GetQueue(queue);
    NET_RING *packets = NetRingCollectionGetPacketRing(tx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(tx->Rings);
    WdfSpinLockAcquire(tx->Loopback->Lock);
    NETPACKETQUEUE rx = tx->Loopback->Rx;
    while (packets->BeginIndex != packets->EndIndex) {
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        if (rx)
            Deliver(tx, packet, GetQueue(rx));
        if (!packet->Ignore)
            fragments->BeginIndex = NetRingAdvanceIndex(fragments, packet->FragmentIndex, packet->FragmentCount);
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    }
    if (rx)
        NetRxQueueNotifyMoreReceivedPacketsAvailable(rx);
    WdfSpinLockRelease(tx->Loopback->Lock);
}

/* Returns what Deliver filled; after a cancel, everything. */
static void RxAdvance(NETPACKETQUEUE queue)
{
    QUEUE *rx = GetQueue(queue);
    NET_RING *packets = NetRingCollectionGetPacketRing(rx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rx->Rings);
    WdfSpinLockAcquire(rx->Loopback->Lock);
    if (rx->Cancelled) {
        for (; packets->NextIndex != packets->EndIndex; packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex))
            NetRingGetPacketAtIndex(packets, packets->NextIndex)->Ignore = 1;
        fragments->NextIndex = fragments->EndIndex;
    }
    packets->BeginIndex = packets->NextIndex;
    fragments->BeginIndex = fragments->NextIndex;
    WdfSpinLockRelease(rx->Loopback->Lock);
}

static void SetNotificationEnabled(NETPACKETQUEUE queue, BOOLEAN enabled)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(enabled);    /* notifying too often is harmless */
}

static void TxCancel(NETPACKETQUEUE queue)
{
    UNREFERENCED_PARAMETER(queue);      /* TxAdvance completes everything at once */
}

static void RxCancel(NETPACKETQUEUE queue)
{
    QUEUE *rx = GetQueue(queue);
    WdfSpinLockAcquire(rx->Loopback->Lock);
    rx->Cancelled = TRUE;
    WdfSpinLockRelease(rx->Loopback->Lock);
}

static void RxCleanup(WDFOBJECT queue)
{
    LOOPBACK *loopback = GetQueue(queue)->Loopback;
    if (!loopback)
        return;
    WdfSpinLockAcquire(loopback->Lock);
    loopback->Rx = NULL;
    WdfSpinLockRelease(loopback->Lock);
}

/* What both directions ask of a new queue. */
static void Prepare(QUEUE *q, NETADAPTER adapter, NET_RING_COLLECTION const *rings, NET_EXTENSION_QUERY *query)
{
    q->Loopback = GetLoopback(adapter);
    q->Rings = rings;
    NET_EXTENSION_QUERY_INIT(query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
}

static NTSTATUS CreateTxQueue(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NET_EXTENSION_QUERY query;
    NETPACKETQUEUE queue;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, SetNotificationEnabled, TxCancel);
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &queue);
    if (!NT_SUCCESS(status))
        return status;
    Prepare(GetQueue(queue), adapter, NetTxQueueGetRingCollection(queue), &query);
    NetTxQueueGetExtension(queue, &query, &GetQueue(queue)->Address);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateRxQueue(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NET_EXTENSION_QUERY query;
    NETPACKETQUEUE queue;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    attributes.EvtCleanupCallback = RxCleanup;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, SetNotificationEnabled, RxCancel);
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &queue);
    if (!NT_SUCCESS(status))
        return status;
    Prepare(GetQueue(queue), adapter, NetRxQueueGetRingCollection(queue), &query);
    NetRxQueueGetExtension(queue, &query, &GetQueue(queue)->Address);
    WdfSpinLockAcquire(GetLoopback(adapter)->Lock);
    GetLoopback(adapter)->Rx = queue;
    WdfSpinLockRelease(GetLoopback(adapter)->Lock);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateAdapter(WDFDEVICE device, NETADAPTER *adapter)
{
    NET_ADAPTER_DATAPATH_CALLBACKS datapath;
    WDF_OBJECT_ATTRIBUTES attributes;
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&datapath, CreateTxQueue, CreateRxQueue);
    NetAdapterInitSetDatapathCallbacks(init, &datapath);
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, LOOPBACK);
    NTSTATUS status = NetAdapterCreate(init, &attributes, adapter);
    NetAdapterInitFree(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = *adapter;
    return WdfSpinLockCreate(&attributes, &GetLoopback(*adapter)->Lock);
}

typedef struct {
    NETADAPTER Adapter;
} DEVICE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(DEVICE, GetDevice)

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    static UCHAR const mac[6] = { 0x02, 0x75, 0x6d, 0x6e, 0x65, 0x74 };
    NETADAPTER adapter = GetDevice(device)->Adapter;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, SPEED, SPEED);
    NetAdapterSetLinkLayerCapabilities(adapter, &link);
    NetAdapterSetLinkLayerMtuSize(adapter, MTU);
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof mac, mac);
    NetAdapterSetPermanentLinkLayerAddress(adapter, &address);
    NetAdapterSetCurrentLinkLayerAddress(adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, FRAME_SIZE, 1);
    NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
    NET_ADAPTER_LINK_STATE_INIT(&state, SPEED, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(adapter, &state);
    return NetAdapterStart(adapter);
}

static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    WDF_PNPPOWER_EVENT_CALLBACKS callbacks;
    WDF_OBJECT_ATTRIBUTES attributes;
    WDFDEVICE device;
    UNREFERENCED_PARAMETER(driver);
    NTSTATUS status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&callbacks);
    callbacks.EvtDevicePrepareHardware = PrepareHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &callbacks);
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, DEVICE);
    status = WdfDeviceCreate(&init, &attributes, &device);
    if (!NT_SUCCESS(status))
        return status;
    return CreateAdapter(device, &GetDevice(device)->Adapter);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registryPath)
{
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    return WdfDriverCreate(driver, registryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
