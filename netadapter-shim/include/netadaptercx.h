/*
 * The adapter's capability, state and configuration structures. Each begins
 * with its own size in the client's version.
 *
 * The functions follow with the C interface; these declarations pin the
 * layouts until then.
 */
#ifndef NETADAPTERCX_H
#define NETADAPTERCX_H

#include "net/extension.h"
#include "net/fragment.h"
#include "net/packet.h"
#include "net/ring.h"

typedef NTSTATUS EVT_NET_ADAPTER_CREATE_TXQUEUE(NETADAPTER, NETTXQUEUE_INIT_HANDLE);
typedef NTSTATUS EVT_NET_ADAPTER_CREATE_RXQUEUE(NETADAPTER, NETRXQUEUE_INIT_HANDLE);
typedef VOID EVT_NET_ADAPTER_SET_RECEIVE_FILTER(NETADAPTER, NETRECEIVEFILTER);
typedef VOID EVT_NET_ADAPTER_OFFLOAD_SET(NETADAPTER, NETOFFLOAD);
typedef VOID EVT_PACKET_QUEUE(NETPACKETQUEUE);
typedef VOID EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED(NETPACKETQUEUE, BOOLEAN);

typedef struct _NET_ADAPTER_DATAPATH_CALLBACKS {
    ULONG Size;
    EVT_NET_ADAPTER_CREATE_TXQUEUE *EvtAdapterCreateTxQueue;
    EVT_NET_ADAPTER_CREATE_RXQUEUE *EvtAdapterCreateRxQueue;
} NET_ADAPTER_DATAPATH_CALLBACKS;

typedef struct _NET_PACKET_QUEUE_CONFIG {
    ULONG Size;
    EVT_PACKET_QUEUE *EvtStart;
    EVT_PACKET_QUEUE *EvtStop;
    EVT_PACKET_QUEUE *EvtAdvance;
    EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED *EvtSetNotificationEnabled;
    EVT_PACKET_QUEUE *EvtCancel;
    NETEXECUTIONCONTEXT ExecutionContext;   /* not in version 2.0 */
} NET_PACKET_QUEUE_CONFIG;

typedef struct _NET_ADAPTER_LINK_LAYER_ADDRESS {
    USHORT Length;
    UCHAR Address[32];
} NET_ADAPTER_LINK_LAYER_ADDRESS;

typedef struct _NET_ADAPTER_LINK_LAYER_CAPABILITIES {
    ULONG Size;
    ULONG64 MaxTxLinkSpeed;
    ULONG64 MaxRxLinkSpeed;
} NET_ADAPTER_LINK_LAYER_CAPABILITIES;

typedef struct _NET_ADAPTER_LINK_STATE {
    ULONG Size;
    ULONG64 TxLinkSpeed;
    ULONG64 RxLinkSpeed;
    UINT32 MediaConnectState;
    UINT32 MediaDuplexState;
    UINT32 SupportedPauseFunctions;
    UINT32 AutoNegotiationFlags;
} NET_ADAPTER_LINK_STATE;

typedef struct _NET_ADAPTER_DMA_CAPABILITIES {
    ULONG Size;
    WDFDMAENABLER DmaEnabler;
    PHYSICAL_ADDRESS MaximumPhysicalAddress;
    WDF_TRI_STATE CacheEnabled;
    ULONG PreferredNode;
} NET_ADAPTER_DMA_CAPABILITIES;

typedef struct _NET_ADAPTER_TX_CAPABILITIES {
    ULONG Size;
    UINT32 MappingRequirement;
    SIZE_T PayloadBackfill;
    SIZE_T MaximumNumberOfFragments;
    SIZE_T FragmentBufferAlignment;
    UINT32 FragmentRingNumberOfElementsHint;
    SIZE_T MaximumNumberOfQueues;
    NET_ADAPTER_DMA_CAPABILITIES *DmaCapabilities;  /* NULL in user mode */
} NET_ADAPTER_TX_CAPABILITIES;

typedef struct _NET_ADAPTER_RX_CAPABILITIES {
    ULONG Size;
    UINT32 AllocationMode;      /* test it before the union */
    UINT32 AttachmentMode;
    UINT32 FragmentRingNumberOfElementsHint;
    SIZE_T MaximumFrameSize;
    SIZE_T MaximumNumberOfQueues;
    union {
        struct {
            VOID (*EvtAdapterReturnRxBuffer)(NETADAPTER, PVOID);
        };
        struct {
            UINT32 MappingRequirement;
            SIZE_T FragmentBufferAlignment;
            NET_ADAPTER_DMA_CAPABILITIES *DmaCapabilities;  /* NULL in user mode */
        };
    };
} NET_ADAPTER_RX_CAPABILITIES;

typedef struct _NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES {
    ULONG Size;
    UINT32 SupportedPacketFilters;
    SIZE_T MaximumMulticastAddresses;
    EVT_NET_ADAPTER_SET_RECEIVE_FILTER *EvtSetReceiveFilter;
} NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES;

typedef struct _NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES {
    ULONG Size;
    UINT32 Layer3Flags;
    UINT32 Layer4Flags;
    UINT16 Layer3HeaderOffsetLimit;
    UINT16 Layer4HeaderOffsetLimit;
    EVT_NET_ADAPTER_OFFLOAD_SET *EvtAdapterOffloadSetTxChecksum;
} NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES;

typedef struct _NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES {
    ULONG Size;
    EVT_NET_ADAPTER_OFFLOAD_SET *EvtAdapterOffloadSetRxChecksum;
} NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES;

typedef struct _NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES {
    ULONG Size;
    UINT32 Layer3Flags;
    UINT32 Layer4Flags;
    UINT16 Layer4HeaderOffsetLimit;
    SIZE_T MaximumOffloadSize;
    SIZE_T MinimumSegmentCount;
    EVT_NET_ADAPTER_OFFLOAD_SET *EvtAdapterOffloadSetGso;
} NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES;

typedef struct _NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES {
    ULONG Size;
    UINT32 Layer3Flags;
    UINT32 Layer4Flags;
    BOOLEAN TcpTimestampOption;
    EVT_NET_ADAPTER_OFFLOAD_SET *EvtAdapterOffloadSetRsc;
} NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES;

#endif
