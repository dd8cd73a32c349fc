/*
 * An adapter that breaks one rule, to see the verifier say so.
 *
 * Which rule is said by the string `Fault` of the device's configuration, or by
 * -DFAULT='"…"' at compile time: the failure code's name without its prefix.
 * Without a fault it is an adapter that loses what it is sent and receives
 * nothing.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>

#ifndef FAULT
#define FAULT ""
#endif

static char Fault[64] = FAULT;

static BOOLEAN Is(const char *fault)
{
    return strcmp(Fault, fault) == 0;
}

typedef struct {
    NET_RING_COLLECTION const *Rings;
    ULONG Turns;
} QUEUE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE, GetQueue)

static NETTXQUEUE_INIT *LateInit;

static void SetNotificationEnabled(NETPACKETQUEUE queue, BOOLEAN enabled)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(enabled);
}

/* --- faults of the data path --- */

/* What may be broken with the rings of either direction in hand. */
static void BreakRings(NET_RING *packets, NET_RING *fragments)
{
    UNREFERENCED_PARAMETER(fragments);
    if (Is("InvalidRingImmutable"))
        packets->ElementIndexMask ^= 1;
    if (Is("InvalidRingImmutableFrameworkElement"))
        NetRingGetPacketAtIndex(packets, packets->EndIndex)->FragmentCount ^= 1;
}

static void BreakSent(NET_RING *packets, NET_RING *fragments)
{
    NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
    if (Is("InvalidRingImmutableDriverTxPacket"))
        packet->Layout.Layer2HeaderLength ^= 1;
    if (Is("InvalidRingImmutableDriverTxFragment"))
        NetRingGetFragmentAtIndex(fragments, packet->FragmentIndex)->ValidLength ^= 1;
}

/* Says of the first receive packet what must not be said. */
static void BreakReceived(NET_RING *packets, NET_RING *fragments)
{
    NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
    NET_FRAGMENT *fragment = NetRingGetFragmentAtIndex(fragments, fragments->BeginIndex);
    UINT32 owned = NetRingGetRangeCount(fragments, fragments->BeginIndex, fragments->EndIndex);
    if (Is("InvalidRingModifiedRxPacket")) {
        packet->Layout.Reserved0 ^= 1;
        return;
    }
    if (Is("InvalidRingImmutableDriverRxPacketIgnore")) {
        packet->Ignore = 1;             /* ignored, and written all the same */
        packet->FragmentCount = 1;
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
        return;
    }
    if (Is("InvalidRingModifiedRxFragment")) {
        fragment->Capacity -= 1;        /* and keeps it */
        return;
    }
    packet->FragmentIndex = fragments->BeginIndex;
    packet->FragmentCount = 1;
    RtlZeroMemory(&packet->Layout, sizeof packet->Layout);
    fragment->Offset = 0;
    fragment->ValidLength = 60;
    if (Is("InvalidRingRxPacketFragmentCountZero"))
        packet->FragmentCount = 0;
    else if (Is("InvalidRingRxPacketFragmentCountOutOfRange"))
        packet->FragmentCount = (UINT16)(owned + 1);
    else if (Is("InvalidRingRxPacketFragmentIndexOutOfPreRange"))
        packet->FragmentIndex = fragments->EndIndex;
    else if (Is("InvalidRingRxPacketFragmentLengthInvalid"))
        fragment->Offset = 1000, fragment->ValidLength = 1000;
    else if (Is("InvalidRingRxPacketLayer2TypeEthernetLengthInvalid"))
        packet->Layout.Layer2Type = NetPacketLayer2TypeEthernet, packet->Layout.Layer2HeaderLength = 13;
    else if (Is("InvalidRingRxPacketLayer3TypeIPv4LengthInvalid"))
        packet->Layout.Layer3Type = NetPacketLayer3TypeIPv4NoOptions, packet->Layout.Layer3HeaderLength = 19;
    else if (Is("InvalidRingRxPacketLayer4TypeTcpLengthInvalid"))
        packet->Layout.Layer4Type = NetPacketLayer4TypeTcp, packet->Layout.Layer4HeaderLength = 21;
    packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    if (!Is("InvalidRingRxPacketFragmentIndexOutOfPostRange"))
        fragments->BeginIndex = NetRingIncrementIndex(fragments, fragments->BeginIndex);
}

/* Returns a packet that nothing was written into. */
static void ReturnUnwritten(NET_RING *packets, NET_RING *fragments)
{
    if (Is("InvalidRingUnmodifiedRxFragment")) {
        NET_PACKET *packet = NetRingGetPacketAtIndex(packets, packets->BeginIndex);
        packet->FragmentIndex = fragments->BeginIndex;
        packet->FragmentCount = 1;
        RtlZeroMemory(&packet->Layout, sizeof packet->Layout);
    }
    packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex);
    fragments->BeginIndex = NetRingIncrementIndex(fragments, fragments->BeginIndex);
}

static BOOLEAN IsRxFault(void)
{
    return strncmp(Fault, "InvalidRingRx", 13) == 0 || strncmp(Fault, "InvalidRingModified", 19) == 0 ||
           Is("InvalidRingImmutableDriverRxPacketIgnore");
}

static void TxAdvance(NETPACKETQUEUE queue)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(GetQueue(queue)->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(GetQueue(queue)->Rings);
    BreakRings(packets, fragments);
    if (packets->BeginIndex != packets->EndIndex)
        BreakSent(packets, fragments);
    if (Is("NeverReturns"))
        for (;;)
            Sleep(1000);
    packets->BeginIndex = packets->EndIndex;
    if (Is("InvalidRingBeginIndex"))    /* beyond what it was given */
        packets->BeginIndex = NetRingIncrementIndex(packets, packets->EndIndex);
    fragments->BeginIndex = fragments->EndIndex;
}

static void RxAdvance(NETPACKETQUEUE queue)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(GetQueue(queue)->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(GetQueue(queue)->Rings);
    if (packets->BeginIndex == packets->EndIndex || fragments->BeginIndex == fragments->EndIndex || GetQueue(queue)->Turns++)
        return;
    if (IsRxFault())
        BreakReceived(packets, fragments);
    else if (strncmp(Fault, "InvalidRingUnmodified", 21) == 0)
        ReturnUnwritten(packets, fragments);
    else
        BreakRings(packets, fragments);
}

static void TxCancel(NETPACKETQUEUE queue)
{
    TxAdvance(queue);
}

static void RxCancel(NETPACKETQUEUE queue)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(GetQueue(queue)->Rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(GetQueue(queue)->Rings);
    if (Is("NeverIdle"))
        return;
    for (; packets->BeginIndex != packets->EndIndex; packets->BeginIndex = NetRingIncrementIndex(packets, packets->BeginIndex))
        NetRingGetPacketAtIndex(packets, packets->BeginIndex)->Ignore = 1;
    fragments->BeginIndex = fragments->EndIndex;
}

/* --- faults of queue creation --- */

static DWORD CreateElsewhere(LPVOID init)
{
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE queue;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, SetNotificationEnabled, TxCancel);
    return (DWORD)NetTxQueueCreate((NETTXQUEUE_INIT *)init, WDF_NO_OBJECT_ATTRIBUTES, &config, &queue);
}

static void BreakExtension(NETPACKETQUEUE queue)
{
    NET_EXTENSION_QUERY query;
    NET_EXTENSION extension;
    NET_EXTENSION_QUERY_INIT(&query, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME,
                             NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1, NetExtensionTypeFragment);
    if (Is("InvalidNetExtensionName"))
        query.Name = L"ms_packet_nothing";
    if (Is("InvalidNetExtensionVersion"))
        query.Version = 0;
    if (Is("InvalidNetExtensionType"))
        query.Type = (NET_EXTENSION_TYPE)9;
    if (Is("InvalidQueueHandle"))
        NetRxQueueGetExtension(queue, &query, &extension);
    NetTxQueueGetExtension(queue, &query, &extension);
    if (Is("DemuxNotPresent"))
        NetTxQueueGetDemux8021p(queue);
}

static NTSTATUS CreateTxQueue(NETADAPTER adapter, NETTXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE queue;
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, SetNotificationEnabled, TxCancel);
    if (Is("NoQueue"))
        return STATUS_SUCCESS;
    if (Is("ParentObjectNotNull"))
        attributes.ParentObject = adapter;
    if (Is("NetQueueInvalidConfiguration"))
        config.EvtAdvance = NULL;
    if (Is("InvalidStructTypeSize"))
        config.Size -= 1;
    if (Is("CreatingNetQueueFromWrongThread")) {
        HANDLE thread = CreateThread(NULL, 0, CreateElsewhere, init, 0, NULL);
        WaitForSingleObject(thread, INFINITE);
        CloseHandle(thread);
    }
    NTSTATUS status = NetTxQueueCreate(init, &attributes, &config, &queue);
    if (!NT_SUCCESS(status))
        return status;
    GetQueue(queue)->Rings = NetTxQueueGetRingCollection(queue);
    if (Is("QueueAlreadyCreated"))
        return NetTxQueueCreate(init, &attributes, &config, &queue);
    LateInit = init;
    BreakExtension(queue);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateRxQueue(NETADAPTER adapter, NETRXQUEUE_INIT *init)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE queue;
    UNREFERENCED_PARAMETER(adapter);
    if (Is("BadQueueInitContext"))
        CreateElsewhere(LateInit);      /* of a callback that has returned */
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, RxAdvance, SetNotificationEnabled, RxCancel);
    NTSTATUS status = NetRxQueueCreate(init, &attributes, &config, &queue);
    if (NT_SUCCESS(status))
        GetQueue(queue)->Rings = NetRxQueueGetRingCollection(queue);
    return status;
}

/* --- faults of capabilities --- */

typedef struct {
    NETADAPTER Adapter;
} DEVICE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(DEVICE, GetDevice)

static void SetOffload(NETADAPTER adapter, NETOFFLOAD offload)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(offload);
}

static void BreakOffloads(NETADAPTER adapter)
{
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES checksum;
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES gso;
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES old;
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES_INIT(&checksum, NetAdapterOffloadLayer3FlagIPv4WithOptions, SetOffload);
    if (Is("InvalidTxChecksumCapabilities"))
        NetAdapterOffloadSetTxChecksumCapabilities(adapter, &checksum);
    checksum.Layer3Flags = NetAdapterOffloadLayer3FlagIPv6NoExtensions;
    if (Is("InvalidTxChecksumIPv6Flags"))
        NetAdapterOffloadSetTxChecksumCapabilities(adapter, &checksum);
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES_INIT(&gso, NetAdapterOffloadLayer3FlagIPv4NoOptions, NetAdapterOffloadLayer4FlagTcpNoOptions, 0, 2, SetOffload);
    if (Is("InvalidGsoCapabilities"))
        NetAdapterOffloadSetGsoCapabilities(adapter, &gso);
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES_INIT(&old, TRUE, TRUE, TRUE, SetOffload);
    if (Is("DeprecatedFunction"))
        NetAdapterOffloadSetChecksumCapabilities(adapter, &old);
    if (Is("AdapterNotStarted"))
        NetAdapterPauseOffloadCapabilities(adapter);
}

static void BreakLink(NETADAPTER adapter)
{
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_LAYER_ADDRESS address = { 33, { 0 } };
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES filter;
    NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED(&state);
    state.MediaConnectState = (NET_IF_MEDIA_CONNECT_STATE)7;
    if (Is("InvalidLinkState"))
        NetAdapterSetLinkState(adapter, &state);
    if (Is("MacAddressLengthTooLong"))
        NetAdapterSetCurrentLinkLayerAddress(adapter, &address);
    if (Is("MtuMustBeGreaterThanZero"))
        NetAdapterSetLinkLayerMtuSize(adapter, 0);
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(&filter, NULL);
    filter.SupportedPacketFilters = NetPacketFilterFlagDirected;
    if (Is("InvalidSetReceiveFilterCallBack"))
        NetAdapterSetReceiveFilterCapabilities(adapter, &filter);
    if (Is("ParameterCantBeNull"))
        NetAdapterSetLinkState(adapter, NULL);
}

/* What user mode forbids: codes InvalidAdapterTxCapabilities and …Rx…. */
static void BreakDatapath(NET_ADAPTER_TX_CAPABILITIES *tx, NET_ADAPTER_RX_CAPABILITIES *rx)
{
    static NET_ADAPTER_DMA_CAPABILITIES dma;
    NET_ADAPTER_DMA_CAPABILITIES_INIT(&dma, NULL);
    if (Is("InvalidAdapterTxCapabilities"))
        tx->DmaCapabilities = &dma;
    if (Is("InvalidAdapterRxCapabilities"))
        rx->AllocationMode = NetRxFragmentBufferAllocationModeDriver;
    if (Is("Mapping"))
        rx->MappingRequirement = NetMemoryMappingRequirementDmaMapped;
    if (Is("NotPowerOfTwo"))
        rx->FragmentBufferAlignment = 3;
}

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    static UCHAR const mac[6] = { 0x02, 'f', 'a', 'u', 'l', 't' };
    NETADAPTER adapter = GetDevice(device)->Adapter;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000, 1000000000);
    NetAdapterSetLinkLayerCapabilities(adapter, &link);
    NetAdapterSetLinkLayerMtuSize(adapter, 1500);
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof mac, mac);
    NetAdapterSetPermanentLinkLayerAddress(adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 1514, 1);
    BreakDatapath(&tx, &rx);
    NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
    BreakLink(adapter);
    BreakOffloads(adapter);
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000, MediaConnectStateConnected, MediaDuplexStateFull,
                                NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(adapter, &state);
    NTSTATUS status = NetAdapterStart(adapter);
    if (Is("AdapterAlreadyStarted"))
        NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
    if (Is("OffloadNotPaused"))
        NetAdapterResumeOffloadCapabilities(adapter);
    return status;
}

/* --- bringing up --- */

static NTSTATUS CreateAdapter(WDFDEVICE device, NETADAPTER *adapter)
{
    NET_ADAPTER_DATAPATH_CALLBACKS datapath;
    NET_ADAPTER_TX_DEMUX demux = { sizeof demux, NetAdapterTxDemuxType8021p, 9 };
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&datapath, CreateTxQueue, Is("InvalidDatapathCallbacks") ? NULL : CreateRxQueue);
    NetAdapterInitSetDatapathCallbacks(init, &datapath);
    if (Is("InvalidTxDemuxRange"))
        NetAdapterInitAddTxDemux(init, &demux);
    NTSTATUS status = NetAdapterCreate(init, WDF_NO_OBJECT_ATTRIBUTES, adapter);
    if (Is("NetAdapterInitAlreadyUsed"))
        status = NetAdapterCreate(init, WDF_NO_OBJECT_ATTRIBUTES, adapter);
    NetAdapterInitFree(init);
    if (Is("InvalidNetAdapterInitSignature"))
        NetAdapterInitSetDatapathCallbacks((NETADAPTER_INIT *)device, &datapath);
    return status;
}

/* The name of the fault, if the configuration has one. */
static void ReadFault(WDFDEVICE device)
{
    DECLARE_CONST_UNICODE_STRING(name, L"Fault");
    NETCONFIGURATION configuration;
    WDFSTRING string;
    UNICODE_STRING text;
    ULONG value;
    if (!NT_SUCCESS(NetDeviceOpenConfiguration(device, WDF_NO_OBJECT_ATTRIBUTES, &configuration)))
        return;
    if (NT_SUCCESS(NetConfigurationQueryString(configuration, &name, WDF_NO_OBJECT_ATTRIBUTES, &string))) {
        WdfStringGetUnicodeString(string, &text);
        for (SIZE_T i = 0; i < text.Length / sizeof(WCHAR) && i + 1 < sizeof Fault; i++)
            Fault[i] = (char)text.Buffer[i], Fault[i + 1] = 0;
    }
    if (Is("InvalidQueryUlongFlag"))
        NetConfigurationQueryUlong(configuration, (NET_CONFIGURATION_QUERY_ULONG_FLAGS)8, &name, &value);
    NetConfigurationClose(configuration);
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
    ReadFault(device);
    return CreateAdapter(device, &GetDevice(device)->Adapter);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registryPath)
{
    WDF_DRIVER_CONFIG config;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    return WdfDriverCreate(driver, registryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}
