/*
 * A client that returns packets as they are: what is sent is complete at once,
 * and with RECEIVING every receive buffer has a frame in it at once.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>

#define LENGTH 60

typedef struct {
    NET_RING_COLLECTION const *Rings;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static NETADAPTER Adapter;

static void ReturnAll(NET_RING_COLLECTION const *rings)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rings);
    packets->BeginIndex = packets->EndIndex;
    fragments->BeginIndex = fragments->EndIndex;
}

static void TxAdvance(NETPACKETQUEUE handle)
{
    ReturnAll(GetQueue(handle)->Rings);
}

static void RxAdvance(NETPACKETQUEUE handle)
{
#ifdef RECEIVING
    NET_RING_COLLECTION const *rings = GetQueue(handle)->Rings;
    NET_RING *packets = NetRingCollectionGetPacketRing(rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rings);
    for (UINT32 i = packets->BeginIndex; i != packets->EndIndex; i = NetRingIncrementIndex(packets, i)) {
        NET_FRAGMENT *fragment = NetRingGetFragmentAtIndex(fragments, i);
        fragment->Offset = 0;
        fragment->ValidLength = LENGTH;
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, i);
        packet->FragmentIndex = i;
        packet->FragmentCount = 1;
        RtlZeroMemory(&packet->Layout, sizeof packet->Layout);
    }
    ReturnAll(rings);
#else
    UNREFERENCED_PARAMETER(handle);
#endif
}

static void Notify(NETPACKETQUEUE handle, BOOLEAN enabled)
{
    UNREFERENCED_PARAMETER(handle);
    UNREFERENCED_PARAMETER(enabled);
}

static void Cancel(NETPACKETQUEUE handle)
{
    NET_RING_COLLECTION const *rings = GetQueue(handle)->Rings;
    NET_RING *packets = NetRingCollectionGetPacketRing(rings);
    for (UINT32 i = packets->BeginIndex; i != packets->EndIndex; i = NetRingIncrementIndex(packets, i))
        NetRingGetPacketAtIndex(packets, i)->Ignore = 1;
    ReturnAll(rings);
}

static void TxCancel(NETPACKETQUEUE handle)
{
    ReturnAll(GetQueue(handle)->Rings);
}

static NTSTATUS CreateTx(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    UNREFERENCED_PARAMETER(adapter);
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, Notify, TxCancel);
    NETPACKETQUEUE handle;
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &handle);
    if (NT_SUCCESS(status))
        GetQueue(handle)->Rings = NetTxQueueGetRingCollection(handle);
    return status;
}

static NTSTATUS CreateRx(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    UNREFERENCED_PARAMETER(adapter);
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, Notify, Cancel);
    NETPACKETQUEUE handle;
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &handle);
    if (NT_SUCCESS(status))
        GetQueue(handle)->Rings = NetRxQueueGetRingCollection(handle);
    return status;
}

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1, 1);
    NetAdapterSetLinkLayerCapabilities(Adapter, &link);
    NetAdapterSetLinkLayerMtuSize(Adapter, 1500);
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 2048, 1);
    NetAdapterSetDataPathCapabilities(Adapter, &tx, &rx);
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES sums;
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES_INIT(
        &sums, NetAdapterOffloadLayer3FlagIPv4NoOptions | NetAdapterOffloadLayer3FlagIPv6NoExtensions, NULL);
    sums.Layer4Flags = NetAdapterOffloadLayer4FlagTcpNoOptions | NetAdapterOffloadLayer4FlagTcpWithOptions |
                       NetAdapterOffloadLayer4FlagUdp;
    NetAdapterOffloadSetTxChecksumCapabilities(Adapter, &sums);
    return NetAdapterStart(Adapter);
}

static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    UNREFERENCED_PARAMETER(driver);
    NTSTATUS status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS pnp;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
    pnp.EvtDevicePrepareHardware = PrepareHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    WDFDEVICE device;
    status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);
    if (!NT_SUCCESS(status))
        return status;
    NETADAPTER_INIT *made = NetAdapterInitAllocate(device);
    if (!made)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
    NetAdapterInitSetDatapathCallbacks(made, &callbacks);
    status = NetAdapterCreate(made, WDF_NO_OBJECT_ATTRIBUTES, &Adapter);
    NetAdapterInitFree(made);
    return status;
}

/* For the bench: a function that does nothing but look up what it is given. */
__attribute__((visibility("default"))) ULONG64 LookUp(ULONG count)
{
    ULONG64 sum = 0;
    for (ULONG i = 0; i < count; i++)
        sum += NetAdapterGetNetLuid(Adapter).Value;
    return sum;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    return WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
