/*
 * Two adapters of one device, each of which receives what the other one sends.
 *
 * For tests, which make it behave in other ways: FAIL_AT names a callback that fails, DEVICES_OF_ONE
 * puts each adapter on a device of its own, and the rest breaks one rule each.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>

#ifndef ADAPTERS
#define ADAPTERS 2
#endif

typedef struct END {
    NETADAPTER Adapter;
    NETPACKETQUEUE Rx;
    struct END *Other;
} END;

typedef struct {
    END *End;
} ADAPTER;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(ADAPTER, GetAdapter)

typedef struct {
    NET_RING_COLLECTION const *Rings;
    NET_EXTENSION Address;
    END *End;
    BOOLEAN Cancelled;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static END Ends[ADAPTERS];
static ULONG Count;
static WDFSPINLOCK Lock;        /* over both receive sides */

static BOOLEAN Fails(PCSTR callback)
{
#ifdef FAIL_AT
    return strcmp(callback, FAIL_AT) == 0;
#else
    UNREFERENCED_PARAMETER(callback);
    return FALSE;
#endif
}

static NTSTATUS Step(PCSTR callback)
{
    DbgPrint("step %s", callback);
#ifdef HANG_AT
    while (strcmp(callback, HANG_AT) == 0)
        Sleep(1000);
#endif
    return Fails(callback) ? STATUS_DEVICE_CONFIGURATION_ERROR : STATUS_SUCCESS;
}

static UCHAR *Data(QUEUE *queue, UINT32 fragment)
{
    return (UCHAR *)NetExtensionGetFragmentVirtualAddress(&queue->Address, fragment)->VirtualAddress;
}

static void Pass(QUEUE *tx, NET_PACKET const *packet, QUEUE *rx)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(rx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rx->Rings);
    NET_RING *sent = NetRingCollectionGetFragmentRing(tx->Rings);
    UINT32 place = fragments->NextIndex;
    if (rx->Cancelled || packet->Ignore || packet->FragmentCount != 1 || place == fragments->EndIndex ||
        packets->NextIndex == packets->EndIndex)
        return;
    NET_FRAGMENT const *from = NetRingGetFragmentAtIndex(sent, packet->FragmentIndex);
    NET_FRAGMENT *to = NetRingGetFragmentAtIndex(fragments, place);
    if (from->ValidLength > to->Capacity)
        return;
    RtlCopyMemory(Data(rx, place), Data(tx, packet->FragmentIndex) + from->Offset, from->ValidLength);
    to->Offset = 0;
    to->ValidLength = from->ValidLength;
    NET_PACKET *received = NetRingGetPacketAtIndex(packets, packets->NextIndex);
    received->FragmentIndex = place;
    received->FragmentCount = 1;
    RtlZeroMemory(&received->Layout, sizeof received->Layout);
    packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex);
    fragments->NextIndex = NetRingIncrementIndex(fragments, place);
}

static void TxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *tx = GetQueue(handle);
    NET_RING *packets = NetRingCollectionGetPacketRing(tx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(tx->Rings);
    WdfSpinLockAcquire(Lock);
    NETPACKETQUEUE rx = tx->End->Other->Rx;
    while (packets->BeginIndex != packets->EndIndex) {
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        if (rx)
            Pass(tx, packet, GetQueue(rx));
        if (!packet->Ignore)
            fragments->BeginIndex = NetRingAdvanceIndex(fragments, packet->FragmentIndex, packet->FragmentCount);
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    }
    if (rx)
        NetRxQueueNotifyMoreReceivedPacketsAvailable(rx);
    WdfSpinLockRelease(Lock);
}

static void RxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *rx = GetQueue(handle);
    NET_RING *packets = NetRingCollectionGetPacketRing(rx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rx->Rings);
    WdfSpinLockAcquire(Lock);
    while (rx->Cancelled && packets->NextIndex != packets->EndIndex) {
        NetRingGetPacketAtIndex(packets, packets->NextIndex)->Ignore = 1;
        packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex);
    }
    if (rx->Cancelled)
        fragments->NextIndex = fragments->EndIndex;
    packets->BeginIndex = packets->NextIndex;
    fragments->BeginIndex = fragments->NextIndex;
    WdfSpinLockRelease(Lock);
}

static void Notify(NETPACKETQUEUE handle, BOOLEAN enabled)
{
    UNREFERENCED_PARAMETER(handle);
    UNREFERENCED_PARAMETER(enabled);
}

static void TxCancel(NETPACKETQUEUE handle)
{
    UNREFERENCED_PARAMETER(handle);
}

static void RxCancel(NETPACKETQUEUE handle)
{
    WdfSpinLockAcquire(Lock);
    GetQueue(handle)->Cancelled = TRUE;
    WdfSpinLockRelease(Lock);
}

static void RxGone(WDFOBJECT handle)
{
    END *end = GetQueue(handle)->End;
    WdfSpinLockAcquire(Lock);
    if (end)
        end->Rx = NULL;
    WdfSpinLockRelease(Lock);
}

static NTSTATUS CreateTx(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    if (!NT_SUCCESS(Step("CreateTxQueue")))
        return STATUS_DEVICE_CONFIGURATION_ERROR;
#ifdef NO_QUEUE
    return STATUS_SUCCESS;
#endif
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, Notify, TxCancel);
#ifdef NO_CANCEL
    config.EvtCancel = NULL;
#endif
#ifdef WRONG_SIZE
    config.Size -= 4;
#endif
    NETPACKETQUEUE handle;
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &handle);
    if (!NT_SUCCESS(status))
        return status;
    QUEUE *queue = GetQueue(handle);
    queue->End = GetAdapter(adapter)->End;
    queue->Rings = NetTxQueueGetRingCollection(handle);
    NET_EXTENSION_QUERY query;
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    NetTxQueueGetExtension(handle, &query, &queue->Address);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateRx(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    if (!NT_SUCCESS(Step("CreateRxQueue")))
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    attributes.EvtCleanupCallback = RxGone;
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, Notify, RxCancel);
    NETPACKETQUEUE handle;
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &handle);
    if (!NT_SUCCESS(status))
        return status;
    QUEUE *queue = GetQueue(handle);
    queue->End = GetAdapter(adapter)->End;
    queue->Rings = NetRxQueueGetRingCollection(handle);
    NET_EXTENSION_QUERY query;
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    NetRxQueueGetExtension(handle, &query, &queue->Address);
    WdfSpinLockAcquire(Lock);
    queue->End->Rx = handle;
    WdfSpinLockRelease(Lock);
    return STATUS_SUCCESS;
}

static ULONG Configured(WDFDEVICE device, PCWSTR name, ULONG otherwise)
{
    NETCONFIGURATION configuration;
    UNICODE_STRING key;
    ULONG value = otherwise;
    if (!NT_SUCCESS(NetDeviceOpenConfiguration(device, WDF_NO_OBJECT_ATTRIBUTES, &configuration)))
        return otherwise;
    RtlInitUnicodeString(&key, name);
    NetConfigurationQueryUlong(configuration, NET_CONFIGURATION_QUERY_ULONG_MAY_BE_STORED_AS_HEX_STRING, &key,
                               &value);
    NetConfigurationClose(configuration);
    return value;
}

static NTSTATUS AddAdapter(WDFDEVICE device)
{
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
#ifdef NO_CREATE_RX
    callbacks.EvtAdapterCreateRxQueue = NULL;
#endif
    NetAdapterInitSetDatapathCallbacks(init, &callbacks);
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, ADAPTER);
    END *end = &Ends[Count];
    NTSTATUS status = NetAdapterCreate(init, &attributes, &end->Adapter);
    NetAdapterInitFree(init);
    if (!NT_SUCCESS(status))
        return status;
    GetAdapter(end->Adapter)->End = end;
    end->Other = &Ends[ADAPTERS - 1 - Count];
    Count++;
    return STATUS_SUCCESS;
}

static NTSTATUS StartAdapter(WDFDEVICE device, END *end)
{
    ULONG mtu = Configured(device, L"Mtu", 1500);
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000ULL, 1000000000ULL);
    NetAdapterSetLinkLayerCapabilities(end->Adapter, &link);
#ifndef NO_MTU
    NetAdapterSetLinkLayerMtuSize(end->Adapter, mtu);
#endif
    NET_ADAPTER_LINK_LAYER_ADDRESS address = {6, {2, 0, 0, 0, 0x77, (UCHAR)(end - Ends)}};
    NetAdapterSetPermanentLinkLayerAddress(end->Adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 14 + mtu, 1);
#ifdef DMA
    NET_ADAPTER_DMA_CAPABILITIES dma;
    NET_ADAPTER_DMA_CAPABILITIES_INIT(&dma, NULL);
    tx.DmaCapabilities = &dma;
#endif
#ifdef DRIVER_BUFFERS
    rx.AllocationMode = NetRxFragmentBufferAllocationModeDriver;
#endif
#ifdef MAPPED
    tx.MappingRequirement = NetMemoryMappingRequirementDmaMapped;
#endif
    NetAdapterSetDataPathCapabilities(end->Adapter, &tx, &rx);
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000ULL, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(end->Adapter, &state);
    NTSTATUS status = NetAdapterStart(end->Adapter);
#ifdef SET_AFTER_START
    NetAdapterSetDataPathCapabilities(end->Adapter, &tx, &rx);
#endif
    return status;
}

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    NTSTATUS status = Step("PrepareHardware");
#ifdef DEVICES_OF_ONE
    return NT_SUCCESS(status) ? StartAdapter(device, &Ends[Count - 1]) : status;
#else
    for (ULONG i = 0; i < Count && NT_SUCCESS(status); i++)
        status = StartAdapter(device, &Ends[i]);
    return status;
#endif
}

static NTSTATUS ReleaseHardware(WDFDEVICE device, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(translated);
    return Step("ReleaseHardware");
}

static NTSTATUS D0Entry(WDFDEVICE device, WDF_POWER_DEVICE_STATE previous)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(previous);
    return Step("D0Entry");
}

static NTSTATUS D0Exit(WDFDEVICE device, WDF_POWER_DEVICE_STATE target)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(target);
    return Step("D0Exit");
}

static NTSTATUS SelfManagedIoInit(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
    return Step("SelfManagedIoInit");
}

static VOID Unload(WDFDRIVER driver)
{
    UNREFERENCED_PARAMETER(driver);
    Step("Unload");
}

static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    UNREFERENCED_PARAMETER(driver);
    NTSTATUS status = Step("DeviceAdd");
    if (NT_SUCCESS(status))
        status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS pnp;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
    pnp.EvtDevicePrepareHardware = PrepareHardware;
    pnp.EvtDeviceReleaseHardware = ReleaseHardware;
    pnp.EvtDeviceD0Entry = D0Entry;
    pnp.EvtDeviceD0Exit = D0Exit;
    pnp.EvtDeviceSelfManagedIoInit = SelfManagedIoInit;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    WDFDEVICE device;
    status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);
#ifdef DEVICES_OF_ONE
    return NT_SUCCESS(status) ? AddAdapter(device) : status;
#else
    for (ULONG i = 0; i < ADAPTERS && NT_SUCCESS(status); i++)
        status = AddAdapter(device);
    return status;
#endif
}

#ifdef NO_ENTRY
__attribute__((visibility("default"))) NTSTATUS OtherEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
#else
NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
#endif
{
    NTSTATUS status = Step("DriverEntry");
#ifdef NO_DRIVER
    return STATUS_SUCCESS;
#endif
    if (!NT_SUCCESS(status))
        return status;
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    config.EvtDriverUnload = Unload;
    WDFDRIVER driver;
    status = WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, &driver);
    if (!NT_SUCCESS(status))
        return status;
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = driver;
    return WdfSpinLockCreate(&attributes, &Lock);
}
