/* NetAdapterCx's handles, enumerations, callbacks and structures, with their
 * _INIT functions. */
#ifndef UMNET_NET_TYPES_H
#define UMNET_NET_TYPES_H

#pragma GCC system_header

#include "../wdf.h"
#include "../net/extension.h"
#include "../net/fragment.h"
#include "../net/packet.h"
#include "../net/returncontext.h"
#include "../net/ring.h"
#include "../net/ringcollection.h"

UMNET_EXTERN_C_BEGIN

DECLARE_HANDLE(NETADAPTER);
DECLARE_HANDLE(NETPACKETQUEUE);
DECLARE_HANDLE(NETCONFIGURATION);
DECLARE_HANDLE(NETRECEIVEFILTER);
DECLARE_HANDLE(NETOFFLOAD);
DECLARE_HANDLE(NETEXECUTIONCONTEXT);
DECLARE_HANDLE(NETPOWEROFFLOAD);
DECLARE_HANDLE(NETWAKESOURCE);
DECLARE_HANDLE(NETOBJECT);
typedef struct NETADAPTER_INIT NETADAPTER_INIT;
typedef struct NETTXQUEUE_INIT NETTXQUEUE_INIT;
typedef struct NETRXQUEUE_INIT NETRXQUEUE_INIT;
typedef struct _NET_DRIVER_GLOBALS NET_DRIVER_GLOBALS, *PNET_DRIVER_GLOBALS;

/* --- from the interface layer below --- */

typedef enum _NET_IF_MEDIA_CONNECT_STATE {
    MediaConnectStateUnknown = 0,
    MediaConnectStateConnected = 1,
    MediaConnectStateDisconnected = 2
} NET_IF_MEDIA_CONNECT_STATE, *PNET_IF_MEDIA_CONNECT_STATE;

typedef enum _NET_IF_MEDIA_DUPLEX_STATE {
    MediaDuplexStateUnknown = 0,
    MediaDuplexStateHalf = 1,
    MediaDuplexStateFull = 2
} NET_IF_MEDIA_DUPLEX_STATE, *PNET_IF_MEDIA_DUPLEX_STATE;

typedef union _NET_LUID_LH {
    ULONG64 Value;
    struct {
        ULONG64 Reserved : 24;
        ULONG64 NetLuidIndex : 24;
        ULONG64 IfType : 16;
    } Info;
} NET_LUID_LH, *PNET_LUID_LH;
typedef NET_LUID_LH NET_LUID, *PNET_LUID;

#define IF_MAX_PHYS_ADDRESS_LENGTH 32
#define NDIS_MAX_PHYS_ADDRESS_LENGTH IF_MAX_PHYS_ADDRESS_LENGTH
#define NDIS_LINK_SPEED_UNKNOWN ((ULONG64)-1)
#define IF_TYPE_ETHERNET_CSMACD 6

typedef NET_IF_MEDIA_CONNECT_STATE NDIS_MEDIA_CONNECT_STATE, *PNDIS_MEDIA_CONNECT_STATE;
typedef NET_IF_MEDIA_DUPLEX_STATE NDIS_MEDIA_DUPLEX_STATE, *PNDIS_MEDIA_DUPLEX_STATE;

typedef union _NET_EUI48_ADDRESS {
    UINT8 Value[6];
} NET_EUI48_ADDRESS;

typedef union _NET_IPV4_ADDRESS {
    UINT32 Address;
    UINT8 Value[4];
} NET_IPV4_ADDRESS;

typedef union _NET_IPV6_ADDRESS {
    struct {
        UINT64 NetworkPrefix;
        UINT64 InterfaceIdentifier;
    } Unicast;
    UINT8 Value[16];
} NET_IPV6_ADDRESS;

/* --- adapter --- */

typedef NTSTATUS EVT_NET_ADAPTER_CREATE_TXQUEUE(NETADAPTER Adapter, NETTXQUEUE_INIT *TxQueueInit);
typedef EVT_NET_ADAPTER_CREATE_TXQUEUE *PFN_NET_ADAPTER_CREATE_TXQUEUE;
typedef NTSTATUS EVT_NET_ADAPTER_CREATE_RXQUEUE(NETADAPTER Adapter, NETRXQUEUE_INIT *RxQueueInit);
typedef EVT_NET_ADAPTER_CREATE_RXQUEUE *PFN_NET_ADAPTER_CREATE_RXQUEUE;

typedef struct _NET_ADAPTER_DATAPATH_CALLBACKS {
    ULONG Size;
    PFN_NET_ADAPTER_CREATE_TXQUEUE EvtAdapterCreateTxQueue;
    PFN_NET_ADAPTER_CREATE_RXQUEUE EvtAdapterCreateRxQueue;
} NET_ADAPTER_DATAPATH_CALLBACKS;

UMNET_INLINE void NET_ADAPTER_DATAPATH_CALLBACKS_INIT(NET_ADAPTER_DATAPATH_CALLBACKS *Callbacks, PFN_NET_ADAPTER_CREATE_TXQUEUE EvtAdapterCreateTxQueue, PFN_NET_ADAPTER_CREATE_RXQUEUE EvtAdapterCreateRxQueue)
{
    WDF_STRUCT_INIT(Callbacks);
    Callbacks->EvtAdapterCreateTxQueue = EvtAdapterCreateTxQueue;
    Callbacks->EvtAdapterCreateRxQueue = EvtAdapterCreateRxQueue;
}

typedef enum _NET_ADAPTER_TX_DEMUX_TYPE {
    NetAdapterTxDemuxType8021p = 1
} NET_ADAPTER_TX_DEMUX_TYPE;

typedef struct _NET_ADAPTER_TX_DEMUX {
    ULONG Size;
    NET_ADAPTER_TX_DEMUX_TYPE Type;
    UINT8 Range;                /* how many queues: 2 to 8 */
} NET_ADAPTER_TX_DEMUX;

/* All eight priorities, unless a range is given. No documentation says how
 * many arguments there are; both ways compile. */
UMNET_INLINE void UmnetTx8021pDemux(NET_ADAPTER_TX_DEMUX *Demux, UINT8 Range)
{
    WDF_STRUCT_INIT(Demux);
    Demux->Type = NetAdapterTxDemuxType8021p;
    Demux->Range = Range;
}
#define UMNET_FIRST_TWO(first, second, ...) first, second
#define UMNET_CALL(function, ...) function(__VA_ARGS__)
#define NET_ADAPTER_TX_8021P_DEMUX_INIT(...) UMNET_CALL(UmnetTx8021pDemux, UMNET_FIRST_TWO(__VA_ARGS__, 8, 0))

/* --- link and addresses --- */

typedef struct _NET_ADAPTER_LINK_LAYER_ADDRESS {
    USHORT Length;              /* bytes: 6 for Ethernet */
    UCHAR Address[IF_MAX_PHYS_ADDRESS_LENGTH];
} NET_ADAPTER_LINK_LAYER_ADDRESS;

UMNET_INLINE void NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(NET_ADAPTER_LINK_LAYER_ADDRESS *LinkLayerAddress, USHORT Length, UCHAR const *AddressBuffer)
{
    RtlZeroMemory(LinkLayerAddress, sizeof(*LinkLayerAddress));
    LinkLayerAddress->Length = Length;
    RtlCopyMemory(LinkLayerAddress->Address, AddressBuffer, Length < IF_MAX_PHYS_ADDRESS_LENGTH ? Length : IF_MAX_PHYS_ADDRESS_LENGTH);
}

typedef struct _NET_ADAPTER_LINK_LAYER_CAPABILITIES {
    ULONG Size;
    ULONG64 MaxTxLinkSpeed;     /* bits a second */
    ULONG64 MaxRxLinkSpeed;
} NET_ADAPTER_LINK_LAYER_CAPABILITIES;

UMNET_INLINE void NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(NET_ADAPTER_LINK_LAYER_CAPABILITIES *Capabilities, ULONG64 MaxTxLinkSpeed, ULONG64 MaxRxLinkSpeed)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->MaxTxLinkSpeed = MaxTxLinkSpeed;
    Capabilities->MaxRxLinkSpeed = MaxRxLinkSpeed;
}

typedef enum _NET_ADAPTER_PAUSE_FUNCTION_TYPE {
    NetAdapterPauseFunctionTypeUnsupported = 0,
    NetAdapterPauseFunctionTypeSendOnly = 1,
    NetAdapterPauseFunctionTypeReceiveOnly = 2,
    NetAdapterPauseFunctionTypeSendAndReceive = 3,
    NetAdapterPauseFunctionTypeUnknown = 4
} NET_ADAPTER_PAUSE_FUNCTION_TYPE;

typedef enum _NET_ADAPTER_AUTO_NEGOTIATION_FLAGS {
    NetAdapterAutoNegotiationFlagNone = 0,
    NetAdapterAutoNegotiationFlagXmitLinkSpeedAutoNegotiated = 1,
    NetAdapterAutoNegotiationFlagRcvLinkSpeedautoNegotiated = 2,
    NetAdapterAutoNegotiationFlagDuplexAutoNegotiated = 4,
    NetAdapterAutoNegotiationFlagPauseFunctionsAutoNegotiated = 8
} NET_ADAPTER_AUTO_NEGOTIATION_FLAGS;

typedef struct _NET_ADAPTER_LINK_STATE {
    ULONG Size;
    ULONG64 TxLinkSpeed;
    ULONG64 RxLinkSpeed;
    NET_IF_MEDIA_CONNECT_STATE MediaConnectState;
    NET_IF_MEDIA_DUPLEX_STATE MediaDuplexState;
    NET_ADAPTER_PAUSE_FUNCTION_TYPE SupportedPauseFunctions;
    NET_ADAPTER_AUTO_NEGOTIATION_FLAGS AutoNegotiationFlags;
} NET_ADAPTER_LINK_STATE;

UMNET_INLINE void NET_ADAPTER_LINK_STATE_INIT(NET_ADAPTER_LINK_STATE *LinkState, ULONG64 LinkSpeed, NET_IF_MEDIA_CONNECT_STATE MediaConnectState, NET_IF_MEDIA_DUPLEX_STATE MediaDuplexState, NET_ADAPTER_PAUSE_FUNCTION_TYPE SupportedPauseFunctions, NET_ADAPTER_AUTO_NEGOTIATION_FLAGS AutoNegotiationFlags)
{
    WDF_STRUCT_INIT(LinkState);
    LinkState->TxLinkSpeed = LinkSpeed;
    LinkState->RxLinkSpeed = LinkSpeed;
    LinkState->MediaConnectState = MediaConnectState;
    LinkState->MediaDuplexState = MediaDuplexState;
    LinkState->SupportedPauseFunctions = SupportedPauseFunctions;
    LinkState->AutoNegotiationFlags = AutoNegotiationFlags;
}

UMNET_INLINE void NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED(NET_ADAPTER_LINK_STATE *LinkState)
{
    NET_ADAPTER_LINK_STATE_INIT(LinkState, NDIS_LINK_SPEED_UNKNOWN, MediaConnectStateDisconnected, MediaDuplexStateUnknown, NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
}

/* --- receive filter --- */

typedef enum _NET_PACKET_FILTER_FLAGS {
    NetPacketFilterFlagDirected = 0x00000001,
    NetPacketFilterFlagMulticast = 0x00000002,
    NetPacketFilterFlagAllMulticast = 0x00000004,
    NetPacketFilterFlagBroadcast = 0x00000008,
    NetPacketFilterFlagPromiscuous = 0x00000020
} NET_PACKET_FILTER_FLAGS;

typedef void EVT_NET_ADAPTER_SET_RECEIVE_FILTER(NETADAPTER Adapter, NETRECEIVEFILTER ReceiveFilter);
typedef EVT_NET_ADAPTER_SET_RECEIVE_FILTER *PFN_NET_ADAPTER_SET_RECEIVE_FILTER;

typedef struct _NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES {
    ULONG Size;
    NET_PACKET_FILTER_FLAGS SupportedPacketFilters;
    SIZE_T MaximumMulticastAddresses;
    PFN_NET_ADAPTER_SET_RECEIVE_FILTER EvtSetReceiveFilter;
} NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES;

UMNET_INLINE void NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES *Capabilities, PFN_NET_ADAPTER_SET_RECEIVE_FILTER EvtSetReceiveFilter)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->EvtSetReceiveFilter = EvtSetReceiveFilter;
}

/* --- datapath capabilities --- */

typedef enum _NET_MEMORY_MAPPING_REQUIREMENT {
    NetMemoryMappingRequirementNone = 0,
    NetMemoryMappingRequirementDmaMapped = 1
} NET_MEMORY_MAPPING_REQUIREMENT;

typedef enum _NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE {
    NetRxFragmentBufferAllocationModeSystem = 0,
    NetRxFragmentBufferAllocationModeDriver = 1,
    NetRxFragmentBufferAllocationModeDriverV2 = 2
} NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE;

typedef enum _NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE {
    NetRxFragmentBufferAttachmentModeSystem = 0,
    NetRxFragmentBufferAttachmentModeDriver = 1
} NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE;

typedef struct _NET_ADAPTER_DMA_CAPABILITIES {
    ULONG Size;
    WDFDMAENABLER DmaEnabler;
    PHYSICAL_ADDRESS MaximumPhysicalAddress;
    WDF_TRI_STATE CacheEnabled;
    NODE_REQUIREMENT PreferredNode;
} NET_ADAPTER_DMA_CAPABILITIES;

UMNET_INLINE void NET_ADAPTER_DMA_CAPABILITIES_INIT(NET_ADAPTER_DMA_CAPABILITIES *Capabilities, WDFDMAENABLER DmaEnabler)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->DmaEnabler = DmaEnabler;
    Capabilities->CacheEnabled = WdfUseDefault;
    Capabilities->PreferredNode = MM_ANY_NODE_OK;
}

#define NET_ADAPTER_FRAGMENT_DEFAULT_ALIGNMENT 1

typedef struct _NET_ADAPTER_TX_CAPABILITIES {
    ULONG Size;
    NET_MEMORY_MAPPING_REQUIREMENT MappingRequirement;
    SIZE_T PayloadBackfill;
    SIZE_T MaximumNumberOfFragments;
    SIZE_T FragmentBufferAlignment;
    UINT32 FragmentRingNumberOfElementsHint;
    SIZE_T MaximumNumberOfQueues;
    NET_ADAPTER_DMA_CAPABILITIES *DmaCapabilities;  /* NULL in user mode */
} NET_ADAPTER_TX_CAPABILITIES;

UMNET_INLINE void NET_ADAPTER_TX_CAPABILITIES_INIT(NET_ADAPTER_TX_CAPABILITIES *Capabilities, SIZE_T MaximumNumberOfQueues)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->FragmentBufferAlignment = NET_ADAPTER_FRAGMENT_DEFAULT_ALIGNMENT;
    Capabilities->MaximumNumberOfFragments = (SIZE_T)-1;
    Capabilities->MaximumNumberOfQueues = MaximumNumberOfQueues;
}

/* The kernel's form: refused at run time. */
UMNET_INLINE void NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(NET_ADAPTER_TX_CAPABILITIES *Capabilities, NET_ADAPTER_DMA_CAPABILITIES *DmaCapabilities, SIZE_T MaximumNumberOfQueues)
{
    NET_ADAPTER_TX_CAPABILITIES_INIT(Capabilities, MaximumNumberOfQueues);
    Capabilities->MappingRequirement = NetMemoryMappingRequirementDmaMapped;
    Capabilities->DmaCapabilities = DmaCapabilities;
}

typedef void EVT_NET_ADAPTER_RETURN_RX_BUFFER(NETADAPTER Adapter, NET_FRAGMENT_RETURN_CONTEXT_HANDLE RxReturnContext);
typedef EVT_NET_ADAPTER_RETURN_RX_BUFFER *PFN_NET_ADAPTER_RETURN_RX_BUFFER;

typedef struct _NET_ADAPTER_RX_CAPABILITIES {
    ULONG Size;
    NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE AllocationMode;  /* says which half of the union counts */
    NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE AttachmentMode;
    UINT32 FragmentRingNumberOfElementsHint;
    SIZE_T MaximumFrameSize;
    SIZE_T MaximumNumberOfQueues;
    union {
        struct {
            PFN_NET_ADAPTER_RETURN_RX_BUFFER EvtAdapterReturnRxBuffer;
        };
        struct {
            NET_MEMORY_MAPPING_REQUIREMENT MappingRequirement;
            SIZE_T FragmentBufferAlignment;
            NET_ADAPTER_DMA_CAPABILITIES *DmaCapabilities;  /* NULL in user mode */
        };
    };
} NET_ADAPTER_RX_CAPABILITIES;

/* The form for user mode. */
UMNET_INLINE void NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(NET_ADAPTER_RX_CAPABILITIES *Capabilities, SIZE_T MaximumFrameSize, SIZE_T MaximumNumberOfQueues)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->AllocationMode = NetRxFragmentBufferAllocationModeSystem;
    Capabilities->AttachmentMode = NetRxFragmentBufferAttachmentModeSystem;
    Capabilities->FragmentBufferAlignment = NET_ADAPTER_FRAGMENT_DEFAULT_ALIGNMENT;
    Capabilities->MaximumFrameSize = MaximumFrameSize;
    Capabilities->MaximumNumberOfQueues = MaximumNumberOfQueues;
}

/* The kernel's two: refused at run time. */
UMNET_INLINE void NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(NET_ADAPTER_RX_CAPABILITIES *Capabilities, NET_ADAPTER_DMA_CAPABILITIES *DmaCapabilities, SIZE_T MaximumFrameSize, SIZE_T MaximumNumberOfQueues)
{
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(Capabilities, MaximumFrameSize, MaximumNumberOfQueues);
    Capabilities->MappingRequirement = NetMemoryMappingRequirementDmaMapped;
    Capabilities->DmaCapabilities = DmaCapabilities;
}

UMNET_INLINE void NET_ADAPTER_RX_CAPABILITIES_INIT_DRIVER_MANAGED(NET_ADAPTER_RX_CAPABILITIES *Capabilities, PFN_NET_ADAPTER_RETURN_RX_BUFFER EvtAdapterReturnRxBuffer, SIZE_T MaximumFrameSize, SIZE_T MaximumNumberOfQueues)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->AllocationMode = NetRxFragmentBufferAllocationModeDriver;
    Capabilities->AttachmentMode = NetRxFragmentBufferAttachmentModeDriver;
    Capabilities->MaximumFrameSize = MaximumFrameSize;
    Capabilities->MaximumNumberOfQueues = MaximumNumberOfQueues;
    Capabilities->EvtAdapterReturnRxBuffer = EvtAdapterReturnRxBuffer;
}

/* --- packet queues --- */

typedef void EVT_PACKET_QUEUE_START(NETPACKETQUEUE PacketQueue);
typedef EVT_PACKET_QUEUE_START *PFN_PACKET_QUEUE_START;
typedef void EVT_PACKET_QUEUE_STOP(NETPACKETQUEUE PacketQueue);
typedef EVT_PACKET_QUEUE_STOP *PFN_PACKET_QUEUE_STOP;
typedef void EVT_PACKET_QUEUE_ADVANCE(NETPACKETQUEUE PacketQueue);
typedef EVT_PACKET_QUEUE_ADVANCE *PFN_PACKET_QUEUE_ADVANCE;
typedef void EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED(NETPACKETQUEUE PacketQueue, BOOLEAN NotificationEnabled);
typedef EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED *PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED;
typedef void EVT_PACKET_QUEUE_CANCEL(NETPACKETQUEUE PacketQueue);
typedef EVT_PACKET_QUEUE_CANCEL *PFN_PACKET_QUEUE_CANCEL;

typedef struct _NET_PACKET_QUEUE_CONFIG {
    ULONG Size;
    PFN_PACKET_QUEUE_START EvtStart;    /* optional, as is EvtStop */
    PFN_PACKET_QUEUE_STOP EvtStop;
    PFN_PACKET_QUEUE_ADVANCE EvtAdvance;
    PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED EvtSetNotificationEnabled;
    PFN_PACKET_QUEUE_CANCEL EvtCancel;
    NETEXECUTIONCONTEXT ExecutionContext;
} NET_PACKET_QUEUE_CONFIG;

UMNET_INLINE void NET_PACKET_QUEUE_CONFIG_INIT(NET_PACKET_QUEUE_CONFIG *Config, PFN_PACKET_QUEUE_ADVANCE EvtAdvance, PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED EvtSetNotificationEnabled, PFN_PACKET_QUEUE_CANCEL EvtCancel)
{
    WDF_STRUCT_INIT(Config);
    Config->EvtAdvance = EvtAdvance;
    Config->EvtSetNotificationEnabled = EvtSetNotificationEnabled;
    Config->EvtCancel = EvtCancel;
}

/* --- configuration --- */

typedef enum _NET_CONFIGURATION_QUERY_ULONG_FLAGS {
    NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS = 0,
    NET_CONFIGURATION_QUERY_ULONG_MAY_BE_STORED_AS_HEX_STRING = 1
} NET_CONFIGURATION_QUERY_ULONG_FLAGS;

UMNET_EXTERN_C_END

DEFINE_ENUM_FLAG_OPERATORS(NET_ADAPTER_AUTO_NEGOTIATION_FLAGS)
DEFINE_ENUM_FLAG_OPERATORS(NET_PACKET_FILTER_FLAGS)
DEFINE_ENUM_FLAG_OPERATORS(NET_CONFIGURATION_QUERY_ULONG_FLAGS)

#include "net_offloads.h"
#include "net_scaling.h"
#include "net_power.h"

#endif
