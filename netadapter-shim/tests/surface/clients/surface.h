/*
 * What the clients of the interface's tests share: one adapter that receives what it sends. A
 * client names what it adds before it includes this, HAVE_SENT for a function Sent, and so on:
 *
 *   Init(init)                     the WDFDEVICE_INIT, before the device is created
 *   Create(device, init)           the NETADAPTER_INIT, before the adapter is created
 *   State(device, adapter)         before NetAdapterStart
 *   Started(adapter)               behind it
 *   Created(handle, queue)         a packet queue that has just been created
 *   QueueStart, QueueStop          EvtStart and EvtStop of all queues
 *   Hold(queue)                    whether what is sent stays with the device for now
 *   Armed(queue)                   a queue that is to notify
 *   Sent(queue, index, frame)      a packet that is sent; `frame` is a copy to change freely
 *   Received(queue, index, frame)  a packet that is about to be given back with `frame` in it
 *   PowerUp(device), PowerDown(device)   in EvtDeviceD0Entry and EvtDeviceD0Exit
 *   Do(number, argument)           the test calls
 *
 * SAY is for what the test compares, CHECK for what the client compares itself.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/checksum.h>
#include <net/databuffer.h>
#include <net/gso.h>
#include <net/ieee8021q.h>
#include <net/logicaladdress.h>
#include <net/lso.h>
#include <net/mdl.h>
#include <net/netmemory.h>
#include <net/packethash.h>
#include <net/returncontext.h>
#include <net/rsc.h>
#include <net/virtualaddress.h>
#include <net/wdfmemory.h>
#include <preview/netringiterator.h>

#define SAY(...) DbgPrint("said: " __VA_ARGS__)
#define CHECK(what) ((what) ? (void)0 : (void)DbgPrint("FAILED: %s", #what))

enum { MostQueues = 8, FrameSize = 66000, MostFrames = 16 };

typedef struct {
    NETADAPTER Adapter;
    NET_RING_COLLECTION const *Rings;
    NET_EXTENSION Address;
    NET_EXTENSION Checksum;
    NET_EXTENSION Gso;
    NET_EXTENSION Lso;
    NET_EXTENSION Rsc;
    NET_EXTENSION Timestamp;
    NET_EXTENSION Tag;
    NET_EXTENSION Hash;
    ULONG Id;
    BOOLEAN Tx;
    BOOLEAN Cancelled;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

/* A frame on its way from a Tx to an Rx queue. */
typedef struct {
    ULONG Target;
    ULONG Length;
    NET_PACKET_IEEE8021Q Tag;
    UCHAR Bytes[FrameSize];
} FRAME;

static WDFDEVICE Device;
static NETADAPTER Adapter;
static NETPACKETQUEUE TxQueues[MostQueues], RxQueues[MostQueues];
static WDFSPINLOCK Lock;        /* over the frames */
static FRAME Frames[MostFrames];
static ULONG FrameCount;

/* What the client does not have does nothing. */
#ifdef HAVE_INIT
static void Init(PWDFDEVICE_INIT init);
#else
static void Init(PWDFDEVICE_INIT init)
{
    UNREFERENCED_PARAMETER(init);
}
#endif
#ifdef HAVE_CREATE
static void Create(WDFDEVICE device, NETADAPTER_INIT *init);
#else
static void Create(WDFDEVICE device, NETADAPTER_INIT *init)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(init);
}
#endif
#ifdef HAVE_STATE
static void State(WDFDEVICE device, NETADAPTER adapter);
#else
static void State(WDFDEVICE device, NETADAPTER adapter)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(adapter);
}
#endif
#ifdef HAVE_STARTED
static void Started(NETADAPTER adapter);
#else
static void Started(NETADAPTER adapter)
{
    UNREFERENCED_PARAMETER(adapter);
}
#endif
#ifdef HAVE_CREATED
static void Created(NETPACKETQUEUE handle, QUEUE *queue);
#else
static void Created(NETPACKETQUEUE handle, QUEUE *queue)
{
    UNREFERENCED_PARAMETER(handle);
    UNREFERENCED_PARAMETER(queue);
}
#endif
#ifdef HAVE_SENT
static void Sent(QUEUE *queue, UINT32 index, FRAME *frame);
#else
static void Sent(QUEUE *queue, UINT32 index, FRAME *frame)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(index);
    UNREFERENCED_PARAMETER(frame);
}
#endif
#ifdef HAVE_HOLD
static BOOLEAN Hold(QUEUE *queue);
static void Armed(QUEUE *queue);
#else
static BOOLEAN Hold(QUEUE *queue)
{
    UNREFERENCED_PARAMETER(queue);
    return FALSE;
}
static void Armed(QUEUE *queue)
{
    UNREFERENCED_PARAMETER(queue);
}
#endif
#ifdef HAVE_RECEIVED
static void Received(QUEUE *queue, UINT32 index, FRAME *frame);
#else
static void Received(QUEUE *queue, UINT32 index, FRAME *frame)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(index);
    UNREFERENCED_PARAMETER(frame);
}
#endif
#ifdef HAVE_POWER_UP
static void PowerUp(WDFDEVICE device);
#else
static void PowerUp(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
}
#endif
#ifdef HAVE_POWER_DOWN
static void PowerDown(WDFDEVICE device);
#else
static void PowerDown(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
}
#endif
#ifdef HAVE_DO
static void Do(ULONG number, ULONG argument);
#else
static void Do(ULONG number, ULONG argument)
{
    UNREFERENCED_PARAMETER(number);
    UNREFERENCED_PARAMETER(argument);
}
#endif

/* A number of the adapter's configuration; without one, `otherwise`. */
static inline ULONG Configured(NETADAPTER adapter, PCWSTR name, ULONG otherwise)
{
    NETCONFIGURATION configuration;
    UNICODE_STRING key;
    ULONG value = otherwise;
    if (!NT_SUCCESS(NetAdapterOpenConfiguration(adapter, WDF_NO_OBJECT_ATTRIBUTES, &configuration)))
        return otherwise;
    RtlInitUnicodeString(&key, name);
    NetConfigurationQueryUlong(configuration, NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, &key, &value);
    NetConfigurationClose(configuration);
    return value;
}

static inline NET_EXTENSION Extension(NETPACKETQUEUE handle, BOOLEAN tx, PCWSTR name, ULONG version, NET_EXTENSION_TYPE type)
{
    NET_EXTENSION_QUERY query;
    NET_EXTENSION extension;
    memset(&extension, 0xff, sizeof(extension));
    NET_EXTENSION_QUERY_INIT(&query, name, version, type);
    if (tx)
        NetTxQueueGetExtension(handle, &query, &extension);
    else
        NetRxQueueGetExtension(handle, &query, &extension);
    return extension;
}

static void FindExtensions(NETPACKETQUEUE handle, QUEUE *queue)
{
    BOOLEAN tx = queue->Tx;
    queue->Address = Extension(handle, tx, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    queue->Checksum = Extension(handle, tx, NET_PACKET_EXTENSION_CHECKSUM_NAME, NET_PACKET_EXTENSION_CHECKSUM_VERSION_1, NetExtensionTypePacket);
    queue->Gso = Extension(handle, tx, NET_PACKET_EXTENSION_GSO_NAME, NET_PACKET_EXTENSION_GSO_VERSION_1, NetExtensionTypePacket);
    queue->Lso = Extension(handle, tx, NET_PACKET_EXTENSION_LSO_NAME, NET_PACKET_EXTENSION_LSO_VERSION_1, NetExtensionTypePacket);
    queue->Rsc = Extension(handle, tx, NET_PACKET_EXTENSION_RSC_NAME, NET_PACKET_EXTENSION_RSC_VERSION_2, NetExtensionTypePacket);
    queue->Timestamp = Extension(handle, tx, NET_PACKET_EXTENSION_RSC_TIMESTAMP_NAME, NET_PACKET_EXTENSION_RSC_TIMESTAMP_VERSION_1, NetExtensionTypePacket);
    queue->Tag = Extension(handle, tx, NET_PACKET_EXTENSION_IEEE8021Q_NAME, NET_PACKET_EXTENSION_IEEE8021Q_VERSION_1, NetExtensionTypePacket);
    queue->Hash = Extension(handle, tx, NET_PACKET_EXTENSION_HASH_NAME, NET_PACKET_EXTENSION_HASH_VERSION_1, NetExtensionTypePacket);
}

/* Copies what a packet consists of, fragment by fragment. */
static ULONG Gather(QUEUE *queue, NET_RING_PACKET_ITERATOR const *packet, UCHAR *to)
{
    NET_RING_FRAGMENT_ITERATOR fragments = NetPacketIteratorGetFragments(packet);
    ULONG length = 0;
    for (; NetFragmentIteratorHasAny(&fragments); NetFragmentIteratorAdvance(&fragments)) {
        NET_FRAGMENT const *fragment = NetFragmentIteratorGetFragment(&fragments);
        UINT32 index = NetFragmentIteratorGetIndex(&fragments);
        CHECK(length + fragment->ValidLength <= FrameSize && fragment->ValidLength <= fragment->Capacity);
        RtlCopyMemory(to + length, NetExtensionGetFragmentVirtualAddressOffset(fragment, &queue->Address, index), fragment->ValidLength);
        length += (ULONG)fragment->ValidLength;
    }
    return length;
}

static void NotifyRx(void)
{
    for (ULONG i = 0; i < MostQueues; i++)
        if (RxQueues[i])
            NetRxQueueNotifyMoreReceivedPacketsAvailable(RxQueues[i]);
}

static EVT_PACKET_QUEUE_ADVANCE TxAdvance;
static void TxAdvance(NETPACKETQUEUE handle)
{
    QUEUE *queue = GetQueue(handle);
    NET_RING_PACKET_ITERATOR packets = NetRingGetAllPackets(queue->Rings);
    NET_RING_FRAGMENT_ITERATOR fragments = NetRingGetAllFragments(queue->Rings);
    if (Hold(queue))
        return;
    WdfSpinLockAcquire(Lock);
    for (; NetPacketIteratorHasAny(&packets); NetPacketIteratorAdvance(&packets)) {
        NET_PACKET const *packet = NetPacketIteratorGetPacket(&packets);
        FRAME *frame = &Frames[FrameCount];
        if (packet->Ignore || FrameCount == MostFrames)
            continue;
        frame->Target = 0;
        RtlZeroMemory(&frame->Tag, sizeof(frame->Tag));
        frame->Length = Gather(queue, &packets, frame->Bytes);
        Sent(queue, NetPacketIteratorGetIndex(&packets), frame);
        FrameCount++;
    }
    NetPacketIteratorSet(&packets);
    NetFragmentIteratorAdvanceToTheEnd(&fragments);
    NetFragmentIteratorSet(&fragments);
    WdfSpinLockRelease(Lock);
    NotifyRx();
}

/* The first frame for a queue, taken out of the list. */
static BOOLEAN TakeFrame(ULONG target, FRAME *taken)
{
    BOOLEAN found = FALSE;
    WdfSpinLockAcquire(Lock);
    for (ULONG i = 0; i < FrameCount; i++) {
        if (!found && Frames[i].Target == target) {
            *taken = Frames[i];
            found = TRUE;
        } else if (found) {
            Frames[i - 1] = Frames[i];
        }
    }
    FrameCount -= found;
    WdfSpinLockRelease(Lock);
    return found;
}

/* Fills one fragment and the packet the iterators are at. */
static void Fill(QUEUE *queue, NET_RING_PACKET_ITERATOR *packets, NET_RING_FRAGMENT_ITERATOR *fragments, FRAME *frame)
{
    UINT32 index = NetFragmentIteratorGetIndex(fragments);
    NET_FRAGMENT *fragment = NetFragmentIteratorGetFragment(fragments);
    NET_PACKET *packet = NetPacketIteratorGetPacket(packets);
    CHECK(frame->Length <= fragment->Capacity);
    RtlCopyMemory(NetExtensionGetFragmentVirtualAddress(&queue->Address, index)->VirtualAddress, frame->Bytes, frame->Length);
    fragment->Offset = 0;
    fragment->ValidLength = frame->Length;
    packet->FragmentIndex = index;
    packet->FragmentCount = 1;
    RtlZeroMemory(&packet->Layout, sizeof(packet->Layout));
    Received(queue, NetPacketIteratorGetIndex(packets), frame);
    NetPacketIteratorAdvance(packets);
    NetFragmentIteratorAdvance(fragments);
}

static EVT_PACKET_QUEUE_ADVANCE RxAdvance;
static void RxAdvance(NETPACKETQUEUE handle)
{
    static FRAME frames[MostQueues];
    QUEUE *queue = GetQueue(handle);
    NET_RING_PACKET_ITERATOR packets = NetRingGetAllPackets(queue->Rings);
    NET_RING_FRAGMENT_ITERATOR fragments = NetRingGetAllFragments(queue->Rings);
    FRAME *frame = &frames[queue->Id];
    while (!queue->Cancelled && NetPacketIteratorHasAny(&packets) && NetFragmentIteratorHasAny(&fragments) && TakeFrame(queue->Id, frame))
        Fill(queue, &packets, &fragments, frame);
    NetPacketIteratorSet(&packets);
    NetFragmentIteratorSet(&fragments);
}

static EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED SetNotification;
static void SetNotification(NETPACKETQUEUE handle, BOOLEAN enabled)
{
    CHECK(enabled == TRUE);
    Armed(GetQueue(handle));
    WdfSpinLockAcquire(Lock);
    BOOLEAN waiting = !GetQueue(handle)->Tx && FrameCount > 0;
    WdfSpinLockRelease(Lock);
    if (waiting)
        NetRxQueueNotifyMoreReceivedPacketsAvailable(handle);
}

static EVT_PACKET_QUEUE_CANCEL TxCancel;
static void TxCancel(NETPACKETQUEUE handle)
{
    GetQueue(handle)->Cancelled = TRUE;
}

static EVT_PACKET_QUEUE_CANCEL RxCancel;
static void RxCancel(NETPACKETQUEUE handle)
{
    QUEUE *queue = GetQueue(handle);
    NET_RING_PACKET_ITERATOR packets = NetRingGetAllPackets(queue->Rings);
    NET_RING_FRAGMENT_ITERATOR fragments = NetRingGetAllFragments(queue->Rings);
    queue->Cancelled = TRUE;
    for (; NetPacketIteratorHasAny(&packets); NetPacketIteratorAdvance(&packets))
        NetPacketIteratorGetPacket(&packets)->Ignore = 1;
    NetPacketIteratorSet(&packets);
    NetFragmentIteratorAdvanceToTheEnd(&fragments);
    NetFragmentIteratorSet(&fragments);
}

#ifdef HAVE_QUEUE_START
static EVT_PACKET_QUEUE_START QueueStart;
static EVT_PACKET_QUEUE_STOP QueueStop;
#else
#define QueueStart NULL
#define QueueStop NULL
#endif

static EVT_WDF_OBJECT_CONTEXT_CLEANUP QueueGone;
static void QueueGone(WDFOBJECT object)
{
    for (ULONG i = 0; i < MostQueues; i++) {
        if ((WDFOBJECT)RxQueues[i] == object)
            RxQueues[i] = NULL;
        if ((WDFOBJECT)TxQueues[i] == object)
            TxQueues[i] = NULL;
    }
}

static void QueueAttributes(WDF_OBJECT_ATTRIBUTES *attributes)
{
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, QUEUE);
    attributes->EvtCleanupCallback = QueueGone;
}

static EVT_NET_ADAPTER_CREATE_TXQUEUE CreateTx;
static NTSTATUS CreateTx(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE handle;
    ULONG id = NetTxQueueInitGetQueueId(init);
    QueueAttributes(&attributes);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, SetNotification, TxCancel);
    config.EvtStart = QueueStart;
    config.EvtStop = QueueStop;
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &handle);
    if (!NT_SUCCESS(status))
        return status;
    QUEUE *queue = GetQueue(handle);
    queue->Adapter = adapter;
    queue->Tx = TRUE;
    queue->Id = id;
    queue->Rings = NetTxQueueGetRingCollection(handle);
    FindExtensions(handle, queue);
    TxQueues[id] = handle;
    Created(handle, queue);
    return status;
}

static EVT_NET_ADAPTER_CREATE_RXQUEUE CreateRx;
static NTSTATUS CreateRx(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE handle;
    ULONG id = NetRxQueueInitGetQueueId(init);
    QueueAttributes(&attributes);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, SetNotification, RxCancel);
    config.EvtStart = QueueStart;
    config.EvtStop = QueueStop;
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &handle);
    if (!NT_SUCCESS(status))
        return status;
    QUEUE *queue = GetQueue(handle);
    queue->Adapter = adapter;
    queue->Id = id;
    queue->Rings = NetRxQueueGetRingCollection(handle);
    FindExtensions(handle, queue);
    RxQueues[id] = handle;
    Created(handle, queue);
    return status;
}

#include "driver.h"
