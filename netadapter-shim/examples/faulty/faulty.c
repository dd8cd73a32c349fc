/*
 * The honest half: an adapter that loses what it is sent and receives nothing.
 * At every moment of faulty.h the chosen fault may step in.
 */
#include "faulty.h"

#ifndef FAULT_NAME
#define FAULT_NAME ""
#endif

static char Chosen[64] = FAULT_NAME;
static volatile LONG Armed;

typedef struct {
    NETADAPTER Adapter;
} DEVICE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(DEVICE, GetDevice)

typedef struct {
    NET_RING_COLLECTION const *Rings;
    NET_EXTENSION VirtualAddress;
    ULONG Turn;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static BOOLEAN BreakFrom(const FAULT *list, MOMENT at, SCENE *scene)
{
    BOOLEAN acted = FALSE;
    for (; list->Name; list++) {
        if (list->At == at && strcmp(list->Name, Chosen) == 0) {
            list->Break(scene);
            acted = TRUE;
        }
    }
    return acted;
}

BOOLEAN BreakAt(MOMENT at, SCENE *scene)
{
    return BreakFrom(CallFaults, at, scene) | BreakFrom(CapabilityFaults, at, scene) |
           BreakFrom(QueueFaults, at, scene) | BreakFrom(RingFaults, at, scene) |
           BreakFrom(PaceFaults, at, scene);
}

/* --- the data path --- */

static SCENE SceneOf(NETPACKETQUEUE queue)
{
    QUEUE *context = GetQueue(queue);
    SCENE scene = { 0 };
    scene.Queue = queue;
    scene.Packets = NetRingCollectionGetPacketRing(context->Rings);
    scene.Fragments = NetRingCollectionGetFragmentRing(context->Rings);
    scene.VirtualAddress = &context->VirtualAddress;
    scene.Turn = context->Turn;
    return scene;
}

NET_FRAGMENT *FragmentAt(SCENE *scene, UINT32 step)
{
    NET_RING *ring = scene->Fragments;
    return NetRingGetFragmentAtIndex(ring, NetRingAdvanceIndex(ring, ring->BeginIndex, (INT32)step));
}

PUCHAR BytesAt(SCENE *scene, UINT32 step)
{
    NET_RING *ring = scene->Fragments;
    UINT32 index = NetRingAdvanceIndex(ring, ring->BeginIndex, (INT32)step);
    return NetExtensionGetFragmentVirtualAddress(scene->VirtualAddress, index)->VirtualAddress;
}

NET_PACKET *Receive(SCENE *scene, UINT32 count)
{
    NET_RING *packets = scene->Packets;
    NET_RING *fragments = scene->Fragments;
    NET_PACKET *first = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
    for (; count; count--) {
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        NET_FRAGMENT *fragment = FragmentAt(scene, 0);
        RtlZeroMemory(BytesAt(scene, 0), 60);
        fragment->Offset = 0;
        fragment->ValidLength = 60;
        packet->FragmentIndex = fragments->BeginIndex;
        packet->FragmentCount = 1;
        RtlZeroMemory(&packet->Layout, sizeof packet->Layout);
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
        fragments->BeginIndex = NetRingIncrementIndex(fragments, fragments->BeginIndex);
    }
    return first;
}

VOID TxAdvance(NETPACKETQUEUE queue)
{
    SCENE scene = SceneOf(queue);
    if (BreakAt(AT_TX_ADVANCE, &scene)) {
        GetQueue(queue)->Turn++;
        return;
    }
    scene.Packets->BeginIndex = scene.Packets->EndIndex;
    scene.Fragments->BeginIndex = scene.Fragments->EndIndex;
}

static VOID RxAdvance(NETPACKETQUEUE queue)
{
    SCENE scene = SceneOf(queue);
    if (scene.Packets->BeginIndex == scene.Packets->EndIndex)
        return;
    if (BreakAt(AT_RX_ADVANCE, &scene))
        GetQueue(queue)->Turn++;
}

VOID TxCancel(NETPACKETQUEUE queue)
{
    SCENE scene = SceneOf(queue);
    if (BreakAt(AT_TX_CANCEL, &scene))
        return;
    scene.Packets->BeginIndex = scene.Packets->EndIndex;
    scene.Fragments->BeginIndex = scene.Fragments->EndIndex;
}

static VOID RxCancel(NETPACKETQUEUE queue)
{
    SCENE scene = SceneOf(queue);
    NET_RING *packets = scene.Packets;
    if (BreakAt(AT_RX_CANCEL, &scene))
        return;
    for (; packets->BeginIndex != packets->EndIndex; packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex))
        NetRingGetPacketAtIndex(packets, packets->BeginIndex)->Ignore = 1;
    scene.Fragments->BeginIndex = scene.Fragments->EndIndex;
}

VOID SetNotificationEnabled(NETPACKETQUEUE queue, BOOLEAN enabled)
{
    UNREFERENCED_PARAMETER(queue);
    InterlockedExchange(&Armed, enabled);
}

BOOLEAN WasArmed(void)
{
    return InterlockedExchange(&Armed, 0) != 0;
}

/* --- queues --- */

static void AskForAddresses(NET_EXTENSION_QUERY *query)
{
    NET_EXTENSION_QUERY_INIT(query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
}

static NTSTATUS CreateTxQueue(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NET_EXTENSION_QUERY query;
    SCENE scene = { 0 };
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, SetNotificationEnabled, TxCancel);
    scene.Adapter = adapter;
    scene.TxInit = init;
    scene.Attributes = &attributes;
    scene.Config = &config;
    BreakAt(AT_TX_CONFIG, &scene);
    if (!NT_SUCCESS(scene.Status))
        return scene.Status;
    if (!scene.Config)          /* creates nothing, and says that all is well */
        return STATUS_SUCCESS;
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &scene.Queue);
    if (!NT_SUCCESS(status))
        return status;
    GetQueue(scene.Queue)->Rings = NetTxQueueGetRingCollection(scene.Queue);
    AskForAddresses(&query);
    NetTxQueueGetExtension(scene.Queue, &query, &GetQueue(scene.Queue)->VirtualAddress);
    BreakAt(AT_TX_CREATED, &scene);
    return scene.Status;
}

static NTSTATUS CreateRxQueue(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NET_EXTENSION_QUERY query;
    SCENE scene = { 0 };
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, SetNotificationEnabled, RxCancel);
    scene.Adapter = adapter;
    scene.RxInit = init;
    scene.Attributes = &attributes;
    scene.Config = &config;
    BreakAt(AT_RX_CONFIG, &scene);
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &scene.Queue);
    if (!NT_SUCCESS(status))
        return status;
    GetQueue(scene.Queue)->Rings = NetRxQueueGetRingCollection(scene.Queue);
    AskForAddresses(&query);
    NetRxQueueGetExtension(scene.Queue, &query, &GetQueue(scene.Queue)->VirtualAddress);
    BreakAt(AT_RX_CREATED, &scene);
    return scene.Status;
}

/* --- the adapter --- */

static VOID SetReceiveFilter(NETADAPTER adapter, NETRECEIVEFILTER filter)
{
    SCENE scene = { 0 };
    scene.Adapter = adapter;
    scene.Filter = filter;
    BreakAt(AT_FILTER, &scene);
}

static void StateLink(SCENE *scene)
{
    NET_ADAPTER_LINK_STATE state;
    if (BreakAt(AT_LINK, scene))
        return;
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(scene->Adapter, &state);
}

static void StateCapabilities(SCENE *scene)
{
    static UCHAR const mac[6] = { 0x02, 'f', 'a', 'u', 'l', 't' };
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES filter;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000, 1000000000);
    NetAdapterSetLinkLayerCapabilities(scene->Adapter, &link);
    NetAdapterSetLinkLayerMtuSize(scene->Adapter, 1500);
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof mac, mac);
    NetAdapterSetPermanentLinkLayerAddress(scene->Adapter, &address);
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(&filter, SetReceiveFilter);
    filter.SupportedPacketFilters = NetPacketFilterFlagDirected | NetPacketFilterFlagBroadcast | NetPacketFilterFlagPromiscuous;
    NetAdapterSetReceiveFilterCapabilities(scene->Adapter, &filter);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 1514, 4);
    scene->Tx = &tx;
    scene->Rx = &rx;
    BreakAt(AT_CAPABILITIES, scene);
    NetAdapterSetDataPathCapabilities(scene->Adapter, &tx, &rx);
    scene->Tx = NULL;
    scene->Rx = NULL;
}

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    SCENE scene = { 0 };
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    scene.Device = device;
    scene.Adapter = GetDevice(device)->Adapter;
    StateCapabilities(&scene);
    StateLink(&scene);
    BreakAt(AT_PREPARE, &scene);
    NTSTATUS status = NetAdapterStart(scene.Adapter);
    if (NT_SUCCESS(status))
        BreakAt(AT_STARTED, &scene);
    return status;
}

static NTSTATUS D0Exit(WDFDEVICE device, WDF_POWER_DEVICE_STATE target)
{
    SCENE scene = { 0 };
    UNREFERENCED_PARAMETER(target);
    scene.Device = device;
    scene.Adapter = GetDevice(device)->Adapter;
    BreakAt(AT_D0_EXIT, &scene);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateAdapter(WDFDEVICE device, NETADAPTER *adapter)
{
    NET_ADAPTER_DATAPATH_CALLBACKS datapath;
    WDF_OBJECT_ATTRIBUTES attributes;
    SCENE scene = { 0 };
    scene.Device = device;
    scene.AdapterInit = NetAdapterInitAllocate(device);
    if (!scene.AdapterInit)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&datapath, CreateTxQueue, CreateRxQueue);
    scene.Datapath = &datapath;
    BreakAt(AT_DATAPATH_CALLBACKS, &scene);
    NetAdapterInitSetDatapathCallbacks(scene.AdapterInit, &datapath);
    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    scene.Attributes = &attributes;
    BreakAt(AT_ADAPTER_INIT, &scene);
    NTSTATUS status = NetAdapterCreate(scene.AdapterInit, &attributes, adapter);
    scene.Adapter = *adapter;
    if (NT_SUCCESS(status))
        BreakAt(AT_ADAPTER_CREATED, &scene);
    NetAdapterInitFree(scene.AdapterInit);
    BreakAt(AT_ADAPTER_FREED, &scene);
    return NT_SUCCESS(status) ? scene.Status : status;
}

/* --- the device --- */

/* The string Fault of the device's configuration, if there is one. */
static void ChooseFault(WDFDEVICE device)
{
    DECLARE_CONST_UNICODE_STRING(name, L"Fault");
    WDFSTRING string;
    UNICODE_STRING text;
    SCENE scene = { 0 };
    scene.Device = device;
    if (!NT_SUCCESS(NetDeviceOpenConfiguration(device, WDF_NO_OBJECT_ATTRIBUTES, &scene.Configuration)))
        return;
    if (NT_SUCCESS(NetConfigurationQueryString(scene.Configuration, &name, WDF_NO_OBJECT_ATTRIBUTES, &string))) {
        WdfStringGetUnicodeString(string, &text);
        for (SIZE_T i = 0; i < text.Length / sizeof(WCHAR) && i + 1 < sizeof Chosen; i++)
            Chosen[i] = (char)text.Buffer[i], Chosen[i + 1] = 0;
    }
    BreakAt(AT_CONFIGURATION, &scene);
    NetConfigurationClose(scene.Configuration);
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
    callbacks.EvtDeviceD0Exit = D0Exit;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &callbacks);
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, DEVICE);
    status = WdfDeviceCreate(&init, &attributes, &device);
    if (!NT_SUCCESS(status))
        return status;
    ChooseFault(device);
    return CreateAdapter(device, &GetDevice(device)->Adapter);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registryPath)
{
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    return WdfDriverCreate(driver, registryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
