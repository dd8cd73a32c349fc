/*
 * One adapter that drops what it is sent, on a device that says which of its callbacks it is in and
 * does what its control codes ask for: give itself up, keep a request, say how it is.
 *
 * For tests, which make it behave in other ways: FAIL_AFTER_FIRST fails every start but the first; SLOW
 * takes so many milliseconds once its adapter is started; with ROGUE, other control codes go to rogue.c.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>

enum { ATTEMPT_RESTART = 1, NO_RESTART = 2, KEEP = 3, FINISH_KEPT = 4 };

typedef struct {
    NETADAPTER Adapter;
    WDFREQUEST Kept;
} DEVICE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(DEVICE, GetDevice)

typedef struct {
    NET_RING_COLLECTION const *Rings;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static ULONG Starts;

#ifdef ROGUE
int Rogue(unsigned code);
extern volatile int Hanging;
#endif

static NTSTATUS Step(PCSTR callback)
{
    DbgPrint("step %s", callback);
    return STATUS_SUCCESS;
}

static void GiveBack(NET_RING *ring)
{
    ring->BeginIndex = ring->NextIndex = ring->EndIndex;
}

static void TxAdvance(NETPACKETQUEUE handle)
{
    NET_RING_COLLECTION const *rings = GetQueue(handle)->Rings;
#ifdef ROGUE
    while (Hanging)
        ;
#endif
    GiveBack(NetRingCollectionGetPacketRing(rings));
    GiveBack(NetRingCollectionGetFragmentRing(rings));
}

static void RxAdvance(NETPACKETQUEUE handle)
{
    UNREFERENCED_PARAMETER(handle);
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
    NET_RING_COLLECTION const *rings = GetQueue(handle)->Rings;
    NET_RING *packets = NetRingCollectionGetPacketRing(rings);
    for (UINT32 i = packets->BeginIndex; i != packets->EndIndex; i = NetRingIncrementIndex(packets, i))
        NetRingGetPacketAtIndex(packets, i)->Ignore = 1;
    GiveBack(packets);
    GiveBack(NetRingCollectionGetFragmentRing(rings));
}

static NTSTATUS CreateTx(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    UNREFERENCED_PARAMETER(adapter);
    Step("CreateTxQueue");
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
    Step("CreateRxQueue");
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, Notify, RxCancel);
    NETPACKETQUEUE handle;
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &handle);
    if (NT_SUCCESS(status))
        GetQueue(handle)->Rings = NetRxQueueGetRingCollection(handle);
    return status;
}

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    Step("PrepareHardware");
#ifdef FAIL_AFTER_FIRST
    if (Starts++)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
#endif
    NETADAPTER adapter = GetDevice(device)->Adapter;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000ULL, 1000000000ULL);
    NetAdapterSetLinkLayerCapabilities(adapter, &link);
    NetAdapterSetLinkLayerMtuSize(adapter, 1500);
    NET_ADAPTER_LINK_LAYER_ADDRESS address = {6, {2, 0, 0, 0, 0x78, 0}};
    NetAdapterSetPermanentLinkLayerAddress(adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 1514, 1);
    NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000ULL, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(adapter, &state);
    NTSTATUS status = NetAdapterStart(adapter);
#ifdef SLOW
    Sleep(SLOW);
#endif
    return status;
}

static NTSTATUS ReleaseHardware(WDFDEVICE device, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(translated);
    DbgPrint("pnp state %#x", WdfDeviceGetDevicePnpState(device));
    return Step("ReleaseHardware");
}

static NTSTATUS D0Entry(WDFDEVICE device, WDF_POWER_DEVICE_STATE previous)
{
    UNREFERENCED_PARAMETER(device);
    DbgPrint("from power state %d", previous);
    return Step("D0Entry");
}

static NTSTATUS D0Exit(WDFDEVICE device, WDF_POWER_DEVICE_STATE target)
{
    UNREFERENCED_PARAMETER(device);
    DbgPrint("to power state %d", target);
    return Step("D0Exit");
}

static NTSTATUS D0EntryPost(WDFDEVICE device, WDF_POWER_DEVICE_STATE previous)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(previous);
    return Step("D0EntryPostInterruptsEnabled");
}

static NTSTATUS D0ExitPre(WDFDEVICE device, WDF_POWER_DEVICE_STATE target)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(target);
    return Step("D0ExitPreInterruptsDisabled");
}

#define STATUS_CALLBACK(name) \
    static NTSTATUS name(WDFDEVICE device) { UNREFERENCED_PARAMETER(device); return Step(#name); }
#define VOID_CALLBACK(name) static VOID name(WDFDEVICE device) { UNREFERENCED_PARAMETER(device); Step(#name); }
STATUS_CALLBACK(SelfManagedIoInit)
STATUS_CALLBACK(SelfManagedIoRestart)
STATUS_CALLBACK(SelfManagedIoSuspend)
STATUS_CALLBACK(QueryStop)
STATUS_CALLBACK(QueryRemove)
VOID_CALLBACK(SelfManagedIoFlush)
VOID_CALLBACK(SelfManagedIoCleanup)
VOID_CALLBACK(SurpriseRemoval)

static VOID Control(WDFQUEUE queue, WDFREQUEST request, size_t output, size_t input, ULONG code)
{
    UNREFERENCED_PARAMETER(output);
    UNREFERENCED_PARAMETER(input);
    WDFDEVICE device = WdfIoQueueGetDevice(queue);
    DEVICE *own = GetDevice(device);
    switch (code) {
    case ATTEMPT_RESTART:
        WdfRequestComplete(request, STATUS_SUCCESS);
        WdfDeviceSetFailed(device, WdfDeviceFailedAttemptRestart);
        break;
    case NO_RESTART:
        WdfRequestComplete(request, STATUS_SUCCESS);
        WdfDeviceSetFailed(device, WdfDeviceFailedNoRestart);
        break;
    case KEEP:
        Step("Keep");
        own->Kept = request;
        break;
    case FINISH_KEPT:
        if (own->Kept)
            WdfRequestCompleteWithInformation(own->Kept, STATUS_SUCCESS, 0);
        own->Kept = NULL;
        WdfRequestComplete(request, STATUS_SUCCESS);
        break;
    default:
#ifdef ROGUE
        WdfRequestComplete(request, Rogue(code));
        break;
#endif
        WdfRequestComplete(request, STATUS_INVALID_DEVICE_REQUEST);
    }
}

static VOID IoStop(WDFQUEUE queue, WDFREQUEST request, ULONG flags)
{
    DbgPrint("stop flags %#x", flags);
    Step("IoStop");
    if (flags & WdfRequestStopActionPurge) {
        GetDevice(WdfIoQueueGetDevice(queue))->Kept = NULL;
        WdfRequestComplete(request, STATUS_CANCELLED);
    } else {
        WdfRequestStopAcknowledge(request, FALSE);
    }
}

static VOID IoResume(WDFQUEUE queue, WDFREQUEST request)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(request);
    Step("IoResume");
}

static NTSTATUS AddAdapter(WDFDEVICE device)
{
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
    NetAdapterInitSetDatapathCallbacks(init, &callbacks);
    NTSTATUS status = NetAdapterCreate(init, WDF_NO_OBJECT_ATTRIBUTES, &GetDevice(device)->Adapter);
    NetAdapterInitFree(init);
    return status;
}

static VOID DeviceCleanup(WDFOBJECT device)
{
    UNREFERENCED_PARAMETER(device);
    Step("DeviceCleanup");
}

static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    UNREFERENCED_PARAMETER(driver);
    Step("DeviceAdd");
    NTSTATUS status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS pnp;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
    pnp.EvtDevicePrepareHardware = PrepareHardware;
    pnp.EvtDeviceReleaseHardware = ReleaseHardware;
    pnp.EvtDeviceD0Entry = D0Entry;
    pnp.EvtDeviceD0Exit = D0Exit;
    pnp.EvtDeviceD0EntryPostInterruptsEnabled = D0EntryPost;
    pnp.EvtDeviceD0ExitPreInterruptsDisabled = D0ExitPre;
    pnp.EvtDeviceSelfManagedIoInit = SelfManagedIoInit;
    pnp.EvtDeviceSelfManagedIoRestart = SelfManagedIoRestart;
    pnp.EvtDeviceSelfManagedIoSuspend = SelfManagedIoSuspend;
    pnp.EvtDeviceSelfManagedIoFlush = SelfManagedIoFlush;
    pnp.EvtDeviceSelfManagedIoCleanup = SelfManagedIoCleanup;
    pnp.EvtDeviceSurpriseRemoval = SurpriseRemoval;
    pnp.EvtDeviceQueryStop = QueryStop;
    pnp.EvtDeviceQueryRemove = QueryRemove;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, DEVICE);
    attributes.EvtCleanupCallback = DeviceCleanup;
    WDFDEVICE device;
    status = WdfDeviceCreate(&init, &attributes, &device);
    if (!NT_SUCCESS(status))
        return status;
    WDF_IO_QUEUE_CONFIG queue;
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&queue, WdfIoQueueDispatchParallel);
    queue.EvtIoDeviceControl = Control;
    queue.EvtIoStop = IoStop;
    queue.EvtIoResume = IoResume;
    status = WdfIoQueueCreate(device, &queue, WDF_NO_OBJECT_ATTRIBUTES, WDF_NO_HANDLE);
    return NT_SUCCESS(status) ? AddAdapter(device) : status;
}

static VOID Unload(WDFDRIVER driver)
{
    UNREFERENCED_PARAMETER(driver);
    Step("Unload");
}

NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    UNREFERENCED_PARAMETER(Starts);
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    config.EvtDriverUnload = Unload;
    return WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
