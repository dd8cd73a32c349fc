/*
 * An adapter whose other end is a program, in the way KMDF clients do it: a
 * control device of the driver's own, which one program at a time opens. What
 * it writes is received, what is sent it reads; reads wait in a manual queue.
 */
#include <ntddk.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>

static constexpr SIZE_T LARGEST = 1514;
static constexpr ULONG TAG = 'paTu';

struct FRAME {
    LIST_ENTRY Entry;
    SIZE_T Length;
    UCHAR Data[LARGEST];
};

struct QUEUE {
    NET_RING_COLLECTION const *Rings;
    NET_EXTENSION Address;
    BOOLEAN Cancelled;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue);

static KSPIN_LOCK Lock;         /* over the lists and Rx */
static LIST_ENTRY ToProgram;
static LIST_ENTRY ToSystem;
static NETPACKETQUEUE Rx;
static volatile LONG RxArmed;
static WDFQUEUE Reads;
static WDFDEVICE Control;
static NETADAPTER Adapter;

class Guard {
public:
    Guard() { KeAcquireSpinLock(&Lock, &m_Irql); }
    ~Guard() { KeReleaseSpinLock(&Lock, m_Irql); }

private:
    KIRQL m_Irql;
};

static FRAME *Take(LIST_ENTRY *list)
{
    Guard guard;
    return IsListEmpty(list) ? nullptr : CONTAINING_RECORD(RemoveHeadList(list), FRAME, Entry);
}

static void Put(LIST_ENTRY *list, FRAME *frame)
{
    Guard guard;
    InsertTailList(list, &frame->Entry);
}

static FRAME *Copy(void const *data, SIZE_T length)
{
    if (length < 14 || length > LARGEST)
        return nullptr;
    auto frame = static_cast<FRAME *>(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(FRAME), TAG));
    if (frame) {
        frame->Length = length;
        RtlCopyMemory(frame->Data, data, length);
    }
    return frame;
}

/* Gives waiting reads what there is. */
static void Answer()
{
    WDFREQUEST request;
    while (FRAME *frame = Take(&ToProgram)) {
        if (!NT_SUCCESS(WdfIoQueueRetrieveNextRequest(Reads, &request))) {
            Guard guard;
            InsertHeadList(&ToProgram, &frame->Entry);
            return;
        }
        PVOID buffer;
        NTSTATUS status = WdfRequestRetrieveOutputBuffer(request, frame->Length, &buffer, nullptr);
        if (NT_SUCCESS(status))
            RtlCopyMemory(buffer, frame->Data, frame->Length);
        WdfRequestCompleteWithInformation(request, status, NT_SUCCESS(status) ? frame->Length : 0);
        ExFreePoolWithTag(frame, TAG);
    }
}

static void EvtRead(WDFQUEUE, WDFREQUEST request, size_t)
{
    NTSTATUS status = WdfRequestForwardToIoQueue(request, Reads);
    if (!NT_SUCCESS(status))
        WdfRequestComplete(request, status);
    Answer();
}

static void EvtWrite(WDFQUEUE, WDFREQUEST request, size_t length)
{
    PVOID buffer;
    NTSTATUS status = WdfRequestRetrieveInputBuffer(request, 14, &buffer, nullptr);
    FRAME *frame = NT_SUCCESS(status) ? Copy(buffer, length) : nullptr;
    if (frame) {
        Put(&ToSystem, frame);
        Guard guard;
        if (Rx && InterlockedExchange(&RxArmed, FALSE))
            NetRxQueueNotifyMoreReceivedPacketsAvailable(Rx);
    } else if (NT_SUCCESS(status)) {
        status = STATUS_INVALID_BUFFER_SIZE;
    }
    WdfRequestCompleteWithInformation(request, status, frame ? length : 0);
}

static UCHAR *Data(QUEUE *queue, UINT32 index)
{
    return static_cast<UCHAR *>(NetExtensionGetFragmentVirtualAddress(&queue->Address, index)->VirtualAddress);
}

static void TxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *queue = GetQueue(handle);
    NET_RING *packets = NetRingCollectionGetPacketRing(queue->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(queue->Rings);
    for (; packets->BeginIndex != packets->EndIndex; packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex)) {
        NET_PACKET const *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        if (packet->Ignore)
            continue;
        NET_FRAGMENT const *fragment = NetRingGetFragmentAtIndex(fragments, packet->FragmentIndex);
        if (packet->FragmentCount == 1)
            if (FRAME *frame = Copy(Data(queue, packet->FragmentIndex) + fragment->Offset, fragment->ValidLength))
                Put(&ToProgram, frame);
        fragments->BeginIndex = NetRingAdvanceIndex(fragments, packet->FragmentIndex, packet->FragmentCount);
    }
    Answer();
}

static void RxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *queue = GetQueue(handle);
    NET_RING *packets = NetRingCollectionGetPacketRing(queue->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(queue->Rings);
    while (queue->Cancelled && packets->BeginIndex != packets->EndIndex) {
        NetRingGetPacketAtIndex(packets, packets->BeginIndex)->Ignore = 1;
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    }
    if (queue->Cancelled)
        fragments->BeginIndex = fragments->EndIndex;
    while (packets->BeginIndex != packets->EndIndex && fragments->BeginIndex != fragments->EndIndex) {
        FRAME *frame = Take(&ToSystem);
        if (!frame)
            break;
        UINT32 const index = fragments->BeginIndex;
        NET_FRAGMENT *fragment = NetRingGetFragmentAtIndex(fragments, index);
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        RtlCopyMemory(Data(queue, index), frame->Data, frame->Length);
        fragment->Offset = 0;
        fragment->ValidLength = frame->Length;
        packet->FragmentIndex = index;
        packet->FragmentCount = 1;
        packet->Layout = {};
        ExFreePoolWithTag(frame, TAG);
        fragments->BeginIndex = NetRingIncrementIndex(fragments, index);
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    }
}

static void TxNotify(NETPACKETQUEUE, BOOLEAN) {}
static void TxCancel(NETPACKETQUEUE) {}

static void RxNotify(NETPACKETQUEUE queue, BOOLEAN enabled)
{
    InterlockedExchange(&RxArmed, enabled);
    bool waiting;
    {
        Guard guard;
        waiting = !IsListEmpty(&ToSystem);
    }
    if (enabled && waiting && InterlockedExchange(&RxArmed, FALSE))
        NetRxQueueNotifyMoreReceivedPacketsAvailable(queue);
}

static void RxCancel(NETPACKETQUEUE queue) { GetQueue(queue)->Cancelled = TRUE; }

static void RxGone(WDFOBJECT)
{
    Guard guard;
    Rx = nullptr;
}

static NTSTATUS CreateTx(NETADAPTER, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NET_EXTENSION_QUERY query;
    NETPACKETQUEUE queue;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, TxNotify, TxCancel);
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &queue);
    if (!NT_SUCCESS(status))
        return status;
    GetQueue(queue)->Rings = NetTxQueueGetRingCollection(queue);
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    NetTxQueueGetExtension(queue, &query, &GetQueue(queue)->Address);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateRx(NETADAPTER, NETRXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NET_EXTENSION_QUERY query;
    NETPACKETQUEUE queue;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    attributes.EvtCleanupCallback = RxGone;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, RxNotify, RxCancel);
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &queue);
    if (!NT_SUCCESS(status))
        return status;
    GetQueue(queue)->Rings = NetRxQueueGetRingCollection(queue);
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    NetRxQueueGetExtension(queue, &query, &GetQueue(queue)->Address);
    Guard guard;
    Rx = queue;
    return STATUS_SUCCESS;
}

/* The driver's own device: named, exclusive, with a queue that never ends. */
static NTSTATUS CreateControl(WDFDRIVER driver)
{
    DECLARE_CONST_UNICODE_STRING(name, L"\\Device\\UmnetTap");
    DECLARE_CONST_UNICODE_STRING(link, L"\\DosDevices\\UmnetTap");
    WDF_IO_QUEUE_CONFIG config;
    WDFDEVICE device;
    PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(driver, &SDDL_DEVOBJ_SYS_ALL_ADM_ALL);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    WdfDeviceInitSetExclusive(init, TRUE);
    NTSTATUS status = WdfDeviceInitAssignName(init, &name);
    if (NT_SUCCESS(status))
        status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);
    if (!NT_SUCCESS(status)) {
        WdfDeviceInitFree(init);
        return status;
    }
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, WdfIoQueueDispatchParallel);
    config.EvtIoRead = EvtRead;
    config.EvtIoWrite = EvtWrite;
    status = WdfIoQueueCreate(device, &config, WDF_NO_OBJECT_ATTRIBUTES, nullptr);
    WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
    if (NT_SUCCESS(status))
        status = WdfIoQueueCreate(device, &config, WDF_NO_OBJECT_ATTRIBUTES, &Reads);
    if (NT_SUCCESS(status))
        status = WdfDeviceCreateSymbolicLink(device, &link);
    if (!NT_SUCCESS(status)) {
        WdfObjectDelete(device);
        return status;
    }
    Control = device;
    WdfControlFinishInitializing(device);
    return STATUS_SUCCESS;
}

static NTSTATUS PrepareHardware(WDFDEVICE, WDFCMRESLIST, WDFCMRESLIST)
{
    static UCHAR const bytes[] = {0x02, 0, 0, 0, 0x70, 0x01};
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000ULL, 1000000000ULL);
    NetAdapterSetLinkLayerCapabilities(Adapter, &link);
    NetAdapterSetLinkLayerMtuSize(Adapter, LARGEST - 14);
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof(bytes), bytes);
    NetAdapterSetPermanentLinkLayerAddress(Adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, LARGEST, 1);
    NetAdapterSetDataPathCapabilities(Adapter, &tx, &rx);
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000ULL, MediaConnectStateConnected, MediaDuplexStateFull, NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(Adapter, &state);
    return NetAdapterStart(Adapter);
}

static NTSTATUS ReleaseHardware(WDFDEVICE, WDFCMRESLIST)
{
    WdfIoQueuePurgeSynchronously(Reads);
    WdfObjectDelete(Control);
    while (FRAME *frame = Take(&ToProgram))
        ExFreePoolWithTag(frame, TAG);
    while (FRAME *frame = Take(&ToSystem))
        ExFreePoolWithTag(frame, TAG);
    return STATUS_SUCCESS;
}

static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    NTSTATUS status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS pnp;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
    pnp.EvtDevicePrepareHardware = PrepareHardware;
    pnp.EvtDeviceReleaseHardware = ReleaseHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    WDFDEVICE device;
    status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);
    if (NT_SUCCESS(status))
        status = CreateControl(driver);
    if (!NT_SUCCESS(status))
        return status;
    NETADAPTER_INIT *adapter = NetAdapterInitAllocate(device);
    if (!adapter)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
    NetAdapterInitSetDatapathCallbacks(adapter, &callbacks);
    status = NetAdapterCreate(adapter, WDF_NO_OBJECT_ATTRIBUTES, &Adapter);
    NetAdapterInitFree(adapter);
    return status;
}

extern "C" NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    KeInitializeSpinLock(&Lock);
    InitializeListHead(&ToProgram);
    InitializeListHead(&ToSystem);
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    return WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
