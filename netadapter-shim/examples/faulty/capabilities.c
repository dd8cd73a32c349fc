/*
 * Faults of what a client states about its adapter.
 */
#include "faulty.h"

/* --- the data path: what user mode forbids, and odd numbers --- */

static NET_ADAPTER_DMA_CAPABILITIES Dma;

static void TxDma(SCENE *scene)
{
    NET_ADAPTER_DMA_CAPABILITIES_INIT(&Dma, NULL);
    scene->Tx->DmaCapabilities = &Dma;
}

static void RxDma(SCENE *scene)
{
    NET_ADAPTER_DMA_CAPABILITIES_INIT(&Dma, NULL);
    scene->Rx->DmaCapabilities = &Dma;
}

static void TxMapped(SCENE *scene) { scene->Tx->MappingRequirement = NetMemoryMappingRequirementDmaMapped; }
static void RxMapped(SCENE *scene) { scene->Rx->MappingRequirement = NetMemoryMappingRequirementDmaMapped; }
static void Allocates(SCENE *scene) { scene->Rx->AllocationMode = NetRxFragmentBufferAllocationModeDriver; }
static void Attaches(SCENE *scene) { scene->Rx->AttachmentMode = NetRxFragmentBufferAttachmentModeDriver; }
static void NoTxQueues(SCENE *scene) { scene->Tx->MaximumNumberOfQueues = 0; }
static void NoRxQueues(SCENE *scene) { scene->Rx->MaximumNumberOfQueues = 0; }
static void OddTxAlignment(SCENE *scene) { scene->Tx->FragmentBufferAlignment = 3; }
static void OddRxAlignment(SCENE *scene) { scene->Rx->FragmentBufferAlignment = 3; }
static void OddTxHint(SCENE *scene) { scene->Tx->FragmentRingNumberOfElementsHint = 6; }
static void OddRxHint(SCENE *scene) { scene->Rx->FragmentRingNumberOfElementsHint = 6; }
static void EmptyFrames(SCENE *scene) { scene->Rx->MaximumFrameSize = 0; }
static void ShortTx(SCENE *scene) { scene->Tx->Size -= 8; }
static void ShortRx(SCENE *scene) { scene->Rx->Size -= 8; }

/* --- link, addresses, receive filter --- */

static void NoMtu(SCENE *scene) { NetAdapterSetLinkLayerMtuSize(scene->Adapter, 0); }

static void LongAddress(SCENE *scene)
{
    NET_ADAPTER_LINK_LAYER_ADDRESS address = { 33, { 0 } };
    NetAdapterSetCurrentLinkLayerAddress(scene->Adapter, &address);
}

static void LongPermanentAddress(SCENE *scene)
{
    NET_ADAPTER_LINK_LAYER_ADDRESS address = { 33, { 0 } };
    NetAdapterSetPermanentLinkLayerAddress(scene->Adapter, &address);
}

static void StateLinkOf(SCENE *scene, int media, int duplex, int pause, int flags)
{
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_STATE_INIT(&state, 1, (NET_IF_MEDIA_CONNECT_STATE)media, (NET_IF_MEDIA_DUPLEX_STATE)duplex,
                                (NET_ADAPTER_PAUSE_FUNCTION_TYPE)pause, (NET_ADAPTER_AUTO_NEGOTIATION_FLAGS)flags);
    NetAdapterSetLinkState(scene->Adapter, &state);
}

static void OddMedia(SCENE *scene) { StateLinkOf(scene, 3, 0, 0, 0); }
static void OddDuplex(SCENE *scene) { StateLinkOf(scene, 1, 3, 0, 0); }
static void OddPause(SCENE *scene) { StateLinkOf(scene, 1, 2, 5, 0); }
static void OddNegotiation(SCENE *scene) { StateLinkOf(scene, 1, 2, 0, 0x10); }

static VOID Filtered(NETADAPTER adapter, NETRECEIVEFILTER filter)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(filter);
}

static void StateFilter(SCENE *scene, int flags, SIZE_T addresses, PFN_NET_ADAPTER_SET_RECEIVE_FILTER callback)
{
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES filter;
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(&filter, callback);
    filter.SupportedPacketFilters = (NET_PACKET_FILTER_FLAGS)flags;
    filter.MaximumMulticastAddresses = addresses;
    NetAdapterSetReceiveFilterCapabilities(scene->Adapter, &filter);
}

static void UnknownFilter(SCENE *scene) { StateFilter(scene, 0x40, 0, Filtered); }
static void ListWithoutFlag(SCENE *scene) { StateFilter(scene, NetPacketFilterFlagDirected, 4, Filtered); }
static void FlagWithoutList(SCENE *scene) { StateFilter(scene, NetPacketFilterFlagMulticast, 0, Filtered); }
static void NoFilters(SCENE *scene) { StateFilter(scene, 0, 0, Filtered); }
static void NoFilterCallback(SCENE *scene) { StateFilter(scene, NetPacketFilterFlagDirected, 0, NULL); }

static void ShortLink(SCENE *scene)
{
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1, 1);
    link.Size -= 8;
    NetAdapterSetLinkLayerCapabilities(scene->Adapter, &link);
}

/* --- offloads --- */

static VOID SetOffload(NETADAPTER adapter, NETOFFLOAD offload)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(offload);
}

static void StateSums(SCENE *scene, int layer3, int layer4)
{
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES sums;
    NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES_INIT(&sums, (NET_ADAPTER_OFFLOAD_LAYER3_FLAGS)layer3, SetOffload);
    sums.Layer4Flags = (NET_ADAPTER_OFFLOAD_LAYER4_FLAGS)layer4;
    NetAdapterOffloadSetTxChecksumCapabilities(scene->Adapter, &sums);
}

static void SumsOptionsAlone(SCENE *scene) { StateSums(scene, NetAdapterOffloadLayer3FlagIPv4WithOptions, 0); }
static void SumsTcpOptionsAlone(SCENE *scene) { StateSums(scene, NetAdapterOffloadLayer3FlagIPv4NoOptions, NetAdapterOffloadLayer4FlagTcpWithOptions); }
static void SumsOfNothing(SCENE *scene) { StateSums(scene, 0, 0); }
static void SumsWithoutLayer3(SCENE *scene) { StateSums(scene, 0, NetAdapterOffloadLayer4FlagTcpNoOptions); }
static void SumsOfIPv6Alone(SCENE *scene) { StateSums(scene, NetAdapterOffloadLayer3FlagIPv6NoExtensions, 0); }

static void StateGso(SCENE *scene, int layer3, int layer4, SIZE_T size, SIZE_T segments)
{
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES gso;
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES_INIT(&gso, (NET_ADAPTER_OFFLOAD_LAYER3_FLAGS)layer3,
                                              (NET_ADAPTER_OFFLOAD_LAYER4_FLAGS)layer4, size, segments, SetOffload);
    NetAdapterOffloadSetGsoCapabilities(scene->Adapter, &gso);
}

static void GsoOfNoSize(SCENE *scene) { StateGso(scene, 1, 1, 0, 2); }
static void GsoOfNoSegments(SCENE *scene) { StateGso(scene, 1, 1, 65535, 0); }
static void GsoOptionsAlone(SCENE *scene) { StateGso(scene, 1, NetAdapterOffloadLayer4FlagTcpWithOptions, 65535, 2); }
static void GsoOfNothing(SCENE *scene) { StateGso(scene, 0, 0, 65535, 2); }

static void ShortGso(SCENE *scene)
{
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES gso;
    NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES_INIT(&gso, NetAdapterOffloadLayer3FlagIPv4NoOptions,
                                              NetAdapterOffloadLayer4FlagTcpNoOptions, 65535, 2, SetOffload);
    gso.Size -= 8;
    NetAdapterOffloadSetGsoCapabilities(scene->Adapter, &gso);
}

/* --- receive scaling and demultiplexing --- */

static NTSTATUS Enable(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE hash, NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE protocols)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(hash);
    UNREFERENCED_PARAMETER(protocols);
    return STATUS_NOT_SUPPORTED;
}

static VOID Disable(NETADAPTER adapter)
{
    UNREFERENCED_PARAMETER(adapter);
}

static NTSTATUS SetKey(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY const *key)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(key);
    return STATUS_SUCCESS;
}

static NTSTATUS SetEntries(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES *entries)
{
    UNREFERENCED_PARAMETER(adapter);
    UNREFERENCED_PARAMETER(entries);
    return STATUS_SUCCESS;
}

static NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES Scaling(void)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling;
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES_INIT(&scaling, 4, NetAdapterReceiveScalingUnhashedTargetTypeUnspecified,
                                                  NetAdapterReceiveScalingHashTypeToeplitz, NetAdapterReceiveScalingProtocolTypeIPv4,
                                                  Enable, Disable, SetKey, SetEntries);
    return scaling;
}

static void StateScaling(SCENE *scene, NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling)
{
    NetAdapterSetReceiveScalingCapabilities(scene->Adapter, &scaling);
}

static void ScaleAndRefuse(SCENE *scene) { StateScaling(scene, Scaling()); }

static void ThreeQueues(SCENE *scene)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling = Scaling();
    scaling.NumberOfQueues = 3;
    StateScaling(scene, scaling);
}

static void OddTable(SCENE *scene)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling = Scaling();
    scaling.IndirectionTableSize = 100;
    StateScaling(scene, scaling);
}

static void UnknownHash(SCENE *scene)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling = Scaling();
    scaling.ReceiveScalingHashTypes = (NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE)2;
    StateScaling(scene, scaling);
}

static void UnknownProtocol(SCENE *scene)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling = Scaling();
    scaling.ReceiveScalingProtocolTypes = (NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE)0x40;
    StateScaling(scene, scaling);
}

static void UnknownEncapsulation(SCENE *scene)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling = Scaling();
    scaling.ReceiveScalingEncapsulationTypes.Outer = (NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION_TYPE)8;
    StateScaling(scene, scaling);
}

static void NoKeyCallback(SCENE *scene)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling = Scaling();
    scaling.EvtAdapterReceiveScalingSetHashSecretKey = NULL;
    StateScaling(scene, scaling);
}

static void UnknownDemux(SCENE *scene)
{
    NET_ADAPTER_TX_DEMUX demux;
    NET_ADAPTER_TX_8021P_DEMUX_INIT(&demux, 4);
    demux.Type = (NET_ADAPTER_TX_DEMUX_TYPE)2;
    NetAdapterInitAddTxDemux(scene->AdapterInit, &demux);
}

static void WideDemux(SCENE *scene)
{
    NET_ADAPTER_TX_DEMUX demux;
    NET_ADAPTER_TX_8021P_DEMUX_INIT(&demux, 9);
    NetAdapterInitAddTxDemux(scene->AdapterInit, &demux);
}

const FAULT CapabilityFaults[] = {
    { "InvalidAdapterTxCapabilities", AT_CAPABILITIES, TxDma },
    { "InvalidAdapterTxCapabilities/mapping", AT_CAPABILITIES, TxMapped },
    { "InvalidAdapterTxCapabilities/queues", AT_CAPABILITIES, NoTxQueues },
    { "InvalidAdapterTxCapabilities/alignment", AT_CAPABILITIES, OddTxAlignment },
    { "InvalidAdapterRxCapabilities", AT_CAPABILITIES, RxDma },
    { "InvalidAdapterRxCapabilities/mapping", AT_CAPABILITIES, RxMapped },
    { "InvalidAdapterRxCapabilities/allocation", AT_CAPABILITIES, Allocates },
    { "InvalidAdapterRxCapabilities/attachment", AT_CAPABILITIES, Attaches },
    { "InvalidAdapterRxCapabilities/queues", AT_CAPABILITIES, NoRxQueues },
    { "NotPowerOfTwo", AT_CAPABILITIES, OddRxAlignment },
    { "NotPowerOfTwo/tx-ring", AT_CAPABILITIES, OddTxHint },
    { "NotPowerOfTwo/rx-ring", AT_CAPABILITIES, OddRxHint },
    { "NotPowerOfTwo/scaling", AT_PREPARE, ThreeQueues },
    { "NotPowerOfTwo/table", AT_PREPARE, OddTable },
    { "ShimMaximumFrameSize", AT_CAPABILITIES, EmptyFrames },
    { "InvalidStructTypeSize/tx", AT_CAPABILITIES, ShortTx },
    { "InvalidStructTypeSize/rx", AT_CAPABILITIES, ShortRx },
    { "InvalidStructTypeSize/link", AT_PREPARE, ShortLink },
    { "InvalidStructTypeSize/gso", AT_PREPARE, ShortGso },
    { "MtuMustBeGreaterThanZero", AT_PREPARE, NoMtu },
    { "MacAddressLengthTooLong", AT_PREPARE, LongAddress },
    { "MacAddressLengthTooLong/permanent", AT_PREPARE, LongPermanentAddress },
    { "InvalidLinkState", AT_LINK, OddMedia },
    { "InvalidLinkState/duplex", AT_LINK, OddDuplex },
    { "InvalidLinkState/pause", AT_LINK, OddPause },
    { "InvalidLinkState/negotiation", AT_LINK, OddNegotiation },
    { "InvalidReceiveFilterCapabilities", AT_PREPARE, UnknownFilter },
    { "InvalidReceiveFilterCapabilities/list", AT_PREPARE, ListWithoutFlag },
    { "InvalidReceiveFilterCapabilities/flag", AT_PREPARE, FlagWithoutList },
    { "InvalidReceiveFilterCapabilities/nothing", AT_PREPARE, NoFilters },
    { "InvalidSetReceiveFilterCallBack", AT_PREPARE, NoFilterCallback },
    { "InvalidTxChecksumCapabilities", AT_PREPARE, SumsOptionsAlone },
    { "InvalidTxChecksumCapabilities/tcp", AT_PREPARE, SumsTcpOptionsAlone },
    { "InvalidTxChecksumHardwareCapabilities", AT_PREPARE, SumsOfNothing },
    { "InvalidTxChecksumLayer4Capabilities", AT_PREPARE, SumsWithoutLayer3 },
    { "InvalidTxChecksumIPv6Flags", AT_PREPARE, SumsOfIPv6Alone },
    { "InvalidGsoCapabilities", AT_PREPARE, GsoOfNoSize },
    { "InvalidGsoCapabilities/segments", AT_PREPARE, GsoOfNoSegments },
    { "InvalidGsoCapabilities/options", AT_PREPARE, GsoOptionsAlone },
    { "InvalidGsoHardwareCapabilities", AT_PREPARE, GsoOfNothing },
    { "InvalidReceiveScalingHashType", AT_PREPARE, UnknownHash },
    { "InvalidReceiveScalingProtocolType", AT_PREPARE, UnknownProtocol },
    { "InvalidReceiveScalingEncapsulationType", AT_PREPARE, UnknownEncapsulation },
    { "InvalidRSSConfiguration", AT_PREPARE, NoKeyCallback },
    { "WDF_OBJECT_ERROR/queue", AT_PREPARE, ScaleAndRefuse },
    { "InvalidTxDemuxType", AT_ADAPTER_INIT, UnknownDemux },
    { "InvalidTxDemuxRange", AT_ADAPTER_INIT, WideDemux },
    { NULL, AT_PREPARE, NULL }
};
