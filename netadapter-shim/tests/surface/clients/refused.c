/* What user mode refuses: one call for each number, and one kind of capability for each Case. */
#define HAVE_STATE
#define HAVE_DO
#include "surface.h"

static NET_POWER_OFFLOAD_LIST Offloads;
static NET_WAKE_SOURCE_LIST Sources;
static NETPOWEROFFLOAD const NoOffload = (NETPOWEROFFLOAD)(SIZE_T)16;
static NETWAKESOURCE const NoSource = (NETWAKESOURCE)(SIZE_T)16;
static NETOFFLOAD const Stale = (NETOFFLOAD)(SIZE_T)16;

static EVT_NET_ADAPTER_OFFLOAD_SET_CHECKSUM SetChecksum;
static void SetChecksum(NETADAPTER adapter, NETOFFLOAD offload)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(offload);
    SAY("a callback that was withdrawn");
}

static EVT_NET_ADAPTER_RETURN_RX_BUFFER ReturnBuffer;
static void ReturnBuffer(NETADAPTER adapter, NET_FRAGMENT_RETURN_CONTEXT_HANDLE context)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(context);
    SAY("a buffer of the client's own");
}

static void BothChecksums(void)
{
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES sums;
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES_INIT(&sums, TRUE, TRUE, TRUE, SetChecksum);
    NetAdapterOffloadSetChecksumCapabilities(Adapter, &sums);
}

static void ChecksumIPv4(void)
{
    CHECK(!NetOffloadIsChecksumIPv4Enabled(Stale));
}

static void ChecksumTcp(void)
{
    CHECK(!NetOffloadIsChecksumTcpEnabled(Stale));
}

static void ChecksumUdp(void)
{
    CHECK(!NetOffloadIsChecksumUdpEnabled(Stale));
}

static void WmmInfo(void)
{
    CHECK(NetTxQueueGetDemuxWmmInfo(TxQueues[0]) == 0);
}

static void PeerAddress(void)
{
    NET_EUI48_ADDRESS const nobody = { { 0 } };
    NET_EUI48_ADDRESS peer = NetTxQueueGetDemuxPeerAddress(TxQueues[0]);
    CHECK(memcmp(&peer, &nobody, sizeof(peer)) == 0);
}

static void Priority(void)
{
    CHECK(NetTxQueueGetDemux8021p(TxQueues[0]) == 0);
}

static void OffloadList(void)
{
    NET_POWER_OFFLOAD_LIST_INIT(&Offloads);
    NetDeviceGetPowerOffloadList(Device, &Offloads);
    CHECK(!Offloads.Reserved[0]);
}

static void OffloadCount(void)
{
    NET_POWER_OFFLOAD_LIST_INIT(&Offloads);
    CHECK(NetPowerOffloadListGetCount(&Offloads) == 0);
}

static void OffloadElement(void)
{
    NET_POWER_OFFLOAD_LIST_INIT(&Offloads);
    CHECK(!NetPowerOffloadListGetElement(&Offloads, 0));
}

static void OffloadType(void)
{
    CHECK((ULONG)NetPowerOffloadGetType(NoOffload) == 0);
}

static void OffloadAdapter(void)
{
    CHECK(!NetPowerOffloadGetAdapter(NoOffload));
}

static void Arp(void)
{
    NET_POWER_OFFLOAD_ARP_PARAMETERS parameters;
    NET_POWER_OFFLOAD_ARP_PARAMETERS_INIT(&parameters);
    NetPowerOffloadGetArpParameters(NoOffload, &parameters);
    CHECK(parameters.Id == 0);
}

static void NeighborSolicitation(void)
{
    NET_POWER_OFFLOAD_NS_PARAMETERS parameters;
    NET_POWER_OFFLOAD_NS_PARAMETERS_INIT(&parameters);
    NetPowerOffloadGetNSParameters(NoOffload, &parameters);
    CHECK(parameters.Id == 0);
}

static void SourceList(void)
{
    NET_WAKE_SOURCE_LIST_INIT(&Sources);
    NetDeviceGetWakeSourceList(Device, &Sources);
    CHECK(!Sources.Reserved[0]);
}

static void SourceCount(void)
{
    NET_WAKE_SOURCE_LIST_INIT(&Sources);
    CHECK(NetWakeSourceListGetCount(&Sources) == 0);
}

static void SourceElement(void)
{
    NET_WAKE_SOURCE_LIST_INIT(&Sources);
    CHECK(!NetWakeSourceListGetElement(&Sources, 0));
}

static void SourceType(void)
{
    CHECK((ULONG)NetWakeSourceGetType(NoSource) == 0);
}

static void SourceAdapter(void)
{
    CHECK(!NetWakeSourceGetAdapter(NoSource));
}

static void Pattern(void)
{
    NET_WAKE_SOURCE_BITMAP_PARAMETERS parameters;
    NET_WAKE_SOURCE_BITMAP_PARAMETERS_INIT(&parameters);
    NetWakeSourceGetBitmapParameters(NoSource, &parameters);
    CHECK(!parameters.Pattern);
}

static void Media(void)
{
    NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS parameters;
    NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS_INIT(&parameters);
    NetWakeSourceGetMediaChangeParameters(NoSource, &parameters);
    CHECK(!parameters.MediaConnect && !parameters.MediaDisconnect);
}

static void WokenByPacket(void)
{
    NET_ADAPTER_WAKE_REASON_PACKET reason;
    NET_ADAPTER_WAKE_REASON_FILTER_PACKET_INIT(&reason);
    NetAdapterReportWakeReasonPacket(Adapter, &reason);
}

static void WokenByLink(void)
{
    NetAdapterReportWakeReasonMediaChange(Adapter, MediaConnectStateDisconnected);
}

static void WokenByNothing(void)
{
    NetAdapterReportWakeReasonMediaChange(Adapter, MediaConnectStateUnknown);
}

static void Diagnostics(void)
{
    UCHAR const bytes[4] = { 1, 2, 3, 4 };
    CHECK(!NT_SUCCESS(NetDeviceStoreResetDiagnostics(Device, sizeof(bytes), bytes)));
}

static void LargeDiagnostics(void)
{
    UCHAR const bytes[4] = { 1, 2, 3, 4 };
    CHECK(!NT_SUCCESS(NetDeviceStoreResetDiagnostics(Device, 0x200000, bytes)));
}

static void UnknownFlag(void)
{
    NETCONFIGURATION configuration;
    UNICODE_STRING key;
    ULONG value;
    RtlInitUnicodeString(&key, L"Case");
    CHECK(NetAdapterOpenConfiguration(Adapter, WDF_NO_OBJECT_ATTRIBUTES, &configuration) == STATUS_SUCCESS);
    CHECK(NetConfigurationQueryUlong(configuration, (NET_CONFIGURATION_QUERY_ULONG_FLAGS)2, &key, &value) == STATUS_INVALID_PARAMETER);
    NetConfigurationClose(configuration);
}

static void Reset(void)
{
    NetDeviceRequestReset(Device);
}

static void (*const Calls[])(void) = {
    BothChecksums, ChecksumIPv4, ChecksumTcp, ChecksumUdp, WmmInfo, PeerAddress, Priority,
    OffloadList, OffloadCount, OffloadElement, OffloadType, OffloadAdapter, Arp, NeighborSolicitation,
    SourceList, SourceCount, SourceElement, SourceType, SourceAdapter, Pattern, Media,
    WokenByPacket, WokenByLink, WokenByNothing, Diagnostics, LargeDiagnostics, UnknownFlag, Reset,
};

static void Do(ULONG number, ULONG argument)
{
    UNREFERENCED_PARAMETER(argument);
    if (number < RTL_NUMBER_OF(Calls))
        Calls[number]();
    else
        SAY("%u calls", (ULONG)RTL_NUMBER_OF(Calls));
}

enum { TxDma = 1, RxDma = 2, DriverManaged = 3, DriverAllocated = 4, DriverAttached = 5, DriverV2 = 6, Mapped = 7 };

/* The capabilities that are stated before were right; one of them is stated again. */
static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_ADAPTER_DMA_CAPABILITIES dma;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    ULONG wrong = Configured(adapter, L"Case", 0);
    UNREFERENCED_PARAMETER(device);
    if (!wrong)
        return;
    NET_ADAPTER_DMA_CAPABILITIES_INIT(&dma, NULL);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 1514, 1);
    if (wrong == TxDma)
        NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(&tx, &dma, 1);
    if (wrong == RxDma)
        NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(&rx, &dma, 1514, 1);
    if (wrong == DriverManaged)
        NET_ADAPTER_RX_CAPABILITIES_INIT_DRIVER_MANAGED(&rx, ReturnBuffer, 1514, 1);
    if (wrong == DriverAllocated)
        rx.AllocationMode = NetRxFragmentBufferAllocationModeDriver;
    if (wrong == DriverAttached)
        rx.AttachmentMode = NetRxFragmentBufferAttachmentModeDriver;
    if (wrong == DriverV2)
        rx.AllocationMode = NetRxFragmentBufferAllocationModeDriverV2;
    if (wrong == Mapped)
        tx.MappingRequirement = NetMemoryMappingRequirementDmaMapped;
    NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
}
