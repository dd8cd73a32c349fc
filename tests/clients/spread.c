/*
 * Two adapters, each of which receives what the other one sends: over four
 * receive queues by a hash, which here is the UDP or TCP destination port, and
 * from as many send queues as there are priorities.
 *
 * For tests: it says what it was told and which queue got what, proves that
 * callbacks of two queues run at the same time (each receive queue once waits
 * inside Advance until the next one has been called), and watches that those of
 * one queue never do. CHANGES makes it change MTU and address in turn, so many
 * times.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>
#include <net/packethash.h>

#define ADAPTERS 2
#define RX_QUEUES 4
#define TABLE 128
#define MTU 1500

typedef struct END {
    NETADAPTER Adapter;
    struct END *Other;
    NETPACKETQUEUE Rx[RX_QUEUES];
    NETPACKETQUEUE Table[TABLE];
    BOOLEAN Spreading;
    LONG volatile Met[RX_QUEUES], Called[RX_QUEUES];
    LONG volatile Received[RX_QUEUES], Sent[8];
} END;

typedef struct {
    END *End;
} ADAPTER;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(ADAPTER, GetAdapter)

typedef struct {
    NET_RING_COLLECTION const *Rings;
    NET_EXTENSION Address, Hash;
    END *End;
    ULONG Id;
    LONG volatile Inside;
    BOOLEAN Cancelled;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static END Ends[ADAPTERS];
static ULONG Count;
static WDFSPINLOCK Lock;        /* over all receive rings and tables */
static LONG volatile Stopping;

static void Enter(QUEUE *queue)
{
    if (InterlockedIncrement(&queue->Inside) != 1)
        DbgPrint("step two callbacks of queue %u at once", queue->Id);
}

static void Leave(QUEUE *queue)
{
    InterlockedDecrement(&queue->Inside);
}

static UCHAR *Data(QUEUE *queue, UINT32 fragment)
{
    return (UCHAR *)NetExtensionGetFragmentVirtualAddress(&queue->Address, fragment)->VirtualAddress;
}

/* The destination port of a datagram or segment over IPv4 without options; 0 for all else. */
static UINT32 HashOf(UCHAR const *frame, SIZE_T length)
{
    if (length < 38 || frame[12] != 8 || frame[13] != 0 || frame[14] != 0x45 || (frame[23] != 17 && frame[23] != 6))
        return 0;
    return (UINT32)frame[36] << 8 | frame[37];
}

static NETPACKETQUEUE Target(END *end, UINT32 hash)
{
    return end->Spreading && hash ? end->Table[hash % TABLE] : end->Rx[0];
}

/* Puts a packet into a receive ring; the lock is held. */
static void Pass(QUEUE *tx, NET_PACKET const *packet, END *to)
{
    NET_RING *sent = NetRingCollectionGetFragmentRing(tx->Rings);
    if (packet->Ignore || packet->FragmentCount != 1)
        return;
    NET_FRAGMENT const *from = NetRingGetFragmentAtIndex(sent, packet->FragmentIndex);
    UCHAR const *frame = Data(tx, packet->FragmentIndex) + from->Offset;
    UINT32 hash = HashOf(frame, from->ValidLength);
    NETPACKETQUEUE handle = Target(to, hash);
    QUEUE *rx = handle ? GetQueue(handle) : NULL;
    if (!rx || rx->Cancelled)
        return;
    NET_RING *packets = NetRingCollectionGetPacketRing(rx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rx->Rings);
    UINT32 place = fragments->NextIndex;
    if (place == fragments->EndIndex || packets->NextIndex == packets->EndIndex)
        return;
    NET_FRAGMENT *fragment = NetRingGetFragmentAtIndex(fragments, place);
    if (from->ValidLength > fragment->Capacity)
        return;
    RtlCopyMemory(Data(rx, place), frame, from->ValidLength);
    fragment->Offset = 0;
    fragment->ValidLength = from->ValidLength;
    NET_PACKET *received = NetRingGetPacketAtIndex(packets, packets->NextIndex);
    received->FragmentIndex = place;
    received->FragmentCount = 1;
    RtlZeroMemory(&received->Layout, sizeof received->Layout);
    if (rx->Hash.Enabled) {
        NET_PACKET_HASH *said = NetExtensionGetPacketHash(&rx->Hash, packets->NextIndex);
        said->HashValue = hash;
        said->ProtocolType = hash ? NetPacketHashProtocolTypeUdp : NetPacketHashProtocolTypeNone;
    }
    packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex);
    fragments->NextIndex = NetRingIncrementIndex(fragments, place);
    if (hash)
        to->Received[rx->Id]++;
    NetRxQueueNotifyMoreReceivedPacketsAvailable(handle);
}

static void TxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *tx = GetQueue(handle);
    Enter(tx);
    NET_RING *packets = NetRingCollectionGetPacketRing(tx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(tx->Rings);
    WdfSpinLockAcquire(Lock);
    while (packets->BeginIndex != packets->EndIndex) {
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        Pass(tx, packet, tx->End->Other);
        tx->End->Sent[tx->Id]++;
        if (!packet->Ignore)
            fragments->BeginIndex = NetRingAdvanceIndex(fragments, packet->FragmentIndex, packet->FragmentCount);
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    }
    WdfSpinLockRelease(Lock);
    Leave(tx);
}

/* Once, inside the callback of one queue: until that of the next one is called. */
static void Meet(QUEUE *rx)
{
    ULONG next = (rx->Id + 1) % RX_QUEUES;
    if (InterlockedExchange(&rx->End->Met[rx->Id], 1))
        return;
    WdfSpinLockAcquire(Lock);
    NETPACKETQUEUE other = rx->End->Rx[next];
    LONG before = rx->End->Called[next];
    if (other)
        NetRxQueueNotifyMoreReceivedPacketsAvailable(other);
    WdfSpinLockRelease(Lock);
    for (int i = 0; i < 1000 && rx->End->Called[next] == before; i++)
        Sleep(1);
    DbgPrint("step rx %u of %u %s", rx->Id, (ULONG)(rx->End - Ends),
             rx->End->Called[next] != before ? "met the next" : "was alone");
}

static void RxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *rx = GetQueue(handle);
    Enter(rx);
    InterlockedIncrement(&rx->End->Called[rx->Id]);
    NET_RING *packets = NetRingCollectionGetPacketRing(rx->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rx->Rings);
    WdfSpinLockAcquire(Lock);
    BOOLEAN busy = rx->End->Received[rx->Id] > 0;
    while (rx->Cancelled && packets->NextIndex != packets->EndIndex) {
        NetRingGetPacketAtIndex(packets, packets->NextIndex)->Ignore = 1;
        packets->NextIndex = NetRingIncrementIndex(packets, packets->NextIndex);
    }
    if (rx->Cancelled)
        fragments->NextIndex = fragments->EndIndex;
    packets->BeginIndex = packets->NextIndex;
    fragments->BeginIndex = fragments->NextIndex;
    WdfSpinLockRelease(Lock);
    if (busy)
        Meet(rx);
    Leave(rx);
}

static void Notify(NETPACKETQUEUE handle, BOOLEAN enabled)
{
    UNREFERENCED_PARAMETER(enabled);
    Enter(GetQueue(handle));
    Leave(GetQueue(handle));
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
    QUEUE *queue = GetQueue(handle);
    WdfSpinLockAcquire(Lock);
    for (ULONG i = 0; queue->End && i < TABLE; i++)
        if (queue->End->Table[i] == handle)
            queue->End->Table[i] = NULL;
    if (queue->End)
        queue->End->Rx[queue->Id] = NULL;
    WdfSpinLockRelease(Lock);
}

static NTSTATUS CreateTx(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG config;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, Notify, TxCancel);
    NETPACKETQUEUE handle;
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &handle);
    if (!NT_SUCCESS(status))
        return status;
    QUEUE *queue = GetQueue(handle);
    queue->End = GetAdapter(adapter)->End;
    queue->Id = NetTxQueueInitGetQueueId(init);
    queue->Rings = NetTxQueueGetRingCollection(handle);
    NET_EXTENSION_QUERY query;
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    NetTxQueueGetExtension(handle, &query, &queue->Address);
    DbgPrint("step tx %u for priority %u", queue->Id, NetTxQueueGetDemux8021p(handle));
    return STATUS_SUCCESS;
}

static NTSTATUS CreateRx(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
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
    queue->Id = NetRxQueueInitGetQueueId(init);
    queue->Rings = NetRxQueueGetRingCollection(handle);
    NET_EXTENSION_QUERY query;
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    NetRxQueueGetExtension(handle, &query, &queue->Address);
    NET_EXTENSION_QUERY_INIT(&query, NET_PACKET_EXTENSION_HASH_NAME, NET_PACKET_EXTENSION_HASH_VERSION_1,
                             NetExtensionTypePacket);
    NetRxQueueGetExtension(handle, &query, &queue->Hash);
    DbgPrint("step rx %u, hash %u", queue->Id, queue->Hash.Enabled);
    WdfSpinLockAcquire(Lock);
    queue->End->Rx[queue->Id] = handle;
    WdfSpinLockRelease(Lock);
    return STATUS_SUCCESS;
}

static NTSTATUS Enable(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE type,
                       NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE protocols)
{
    DbgPrint("step enable %u %#x", type, protocols);
    WdfSpinLockAcquire(Lock);
    GetAdapter(adapter)->End->Spreading = TRUE;
    WdfSpinLockRelease(Lock);
    return STATUS_SUCCESS;
}

static void Disable(NETADAPTER adapter)
{
    DbgPrint("step disable");
    WdfSpinLockAcquire(Lock);
    GetAdapter(adapter)->End->Spreading = FALSE;
    WdfSpinLockRelease(Lock);
}

static NTSTATUS SetKey(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY const *key)
{
    UNREFERENCED_PARAMETER(adapter);
    DbgPrint("step key of %u bytes", (ULONG)key->Length);
    return STATUS_SUCCESS;
}

static NTSTATUS SetEntries(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES *entries)
{
    END *end = GetAdapter(adapter)->End;
    DbgPrint("step %u entries", (ULONG)entries->Length);
    WdfSpinLockAcquire(Lock);
    for (SIZE_T i = 0; i < entries->Length; i++) {
        NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY *entry = &entries->Entries[i];
        end->Table[entry->Index % TABLE] = entry->PacketQueue;
        entry->Status = STATUS_SUCCESS;
    }
    WdfSpinLockRelease(Lock);
    return STATUS_SUCCESS;
}

static NTSTATUS AddAdapter(WDFDEVICE device)
{
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
    NetAdapterInitSetDatapathCallbacks(init, &callbacks);
    NET_ADAPTER_TX_DEMUX demux;
    NET_ADAPTER_TX_8021P_DEMUX_INIT(&demux, 8);
    NetAdapterInitAddTxDemux(init, &demux);
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

static void SetAddress(END *end, UCHAR last)
{
    NET_ADAPTER_LINK_LAYER_ADDRESS address = {6, {2, 0, 0, 0, (UCHAR)(end - Ends), last}};
    NetAdapterSetCurrentLinkLayerAddress(end->Adapter, &address);
}

static NTSTATUS StartAdapter(END *end)
{
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000ULL, 1000000000ULL);
    NetAdapterSetLinkLayerCapabilities(end->Adapter, &link);
    NetAdapterSetLinkLayerMtuSize(end->Adapter, MTU);
    SetAddress(end, 0x77);
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 8);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 18 + MTU, RX_QUEUES);
    NetAdapterSetDataPathCapabilities(end->Adapter, &tx, &rx);
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling;
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES_INIT(
        &scaling, RX_QUEUES, NetAdapterReceiveScalingUnhashedTargetTypeUnspecified,
        NetAdapterReceiveScalingHashTypeToeplitz,
        NetAdapterReceiveScalingProtocolTypeIPv4 | NetAdapterReceiveScalingProtocolTypeUdp, Enable, Disable, SetKey,
        SetEntries);
    NetAdapterSetReceiveScalingCapabilities(end->Adapter, &scaling);
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000ULL, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(end->Adapter, &state);
    return NetAdapterStart(end->Adapter);
}

#ifdef CHANGES
static HANDLE Changer;

static DWORD WINAPI Change(LPVOID parameter)
{
    END *end = parameter;
    for (ULONG i = 0; i < CHANGES && !Stopping; i++) {
        Sleep(60);
        if (i % 2)
            SetAddress(end, (UCHAR)(0x78 + i));
        else
            NetAdapterSetLinkLayerMtuSize(end->Adapter, i % 4 ? MTU : MTU - 100);
    }
    DbgPrint("step all changed");
    return 0;
}
#endif

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    NTSTATUS status = StartAdapter(&Ends[0]);
    return NT_SUCCESS(status) ? StartAdapter(&Ends[1]) : status;
}

static NTSTATUS SelfManagedIoInit(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
#ifdef CHANGES
    Changer = CreateThread(NULL, 0, Change, &Ends[0], 0, NULL);
#endif
    return STATUS_SUCCESS;
}

static NTSTATUS SelfManagedIoSuspend(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
    Stopping = 1;
#ifdef CHANGES
    WaitForSingleObject(Changer, INFINITE);
    CloseHandle(Changer);
#endif
    return STATUS_SUCCESS;
}

static NTSTATUS ReleaseHardware(WDFDEVICE device, WDFCMRESLIST translated)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(translated);
    for (ULONG end = 0; end < ADAPTERS; end++) {
        for (ULONG i = 0; i < RX_QUEUES; i++)
            DbgPrint("step rx %u of %u received %d", i, end, Ends[end].Received[i]);
        for (ULONG i = 0; i < 8; i++)
            DbgPrint("step tx %u of %u sent %d", i, end, Ends[end].Sent[i]);
    }
    return STATUS_SUCCESS;
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
    pnp.EvtDeviceReleaseHardware = ReleaseHardware;
    pnp.EvtDeviceSelfManagedIoInit = SelfManagedIoInit;
    pnp.EvtDeviceSelfManagedIoSuspend = SelfManagedIoSuspend;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    WDFDEVICE device;
    status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);
    for (ULONG i = 0; i < ADAPTERS && NT_SUCCESS(status); i++)
        status = AddAdapter(device);
    return status;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    WDFDRIVER driver;
    NTSTATUS status = WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, &driver);
    if (!NT_SUCCESS(status))
        return status;
    WDF_OBJECT_ATTRIBUTES attributes;
    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = driver;
    return WdfSpinLockCreate(&attributes, &Lock);
}
