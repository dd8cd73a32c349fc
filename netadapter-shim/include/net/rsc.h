/* Coalescing on Rx: how many segments a packet was made of. */
#ifndef NET_RSC_H
#define NET_RSC_H

#pragma GCC system_header

#include "extension.h"

#define NET_PACKET_EXTENSION_RSC_NAME L"ms_packet_rsc"
#define NET_PACKET_EXTENSION_RSC_VERSION_1 1U
#define NET_PACKET_EXTENSION_RSC_VERSION_2 2U   /* with the UDP member */

typedef struct _NET_PACKET_RSC {
    union {
        struct {
            UINT16 CoalescedSegmentCount;
            UINT16 DuplicateAckCount;
        } TCP;
        struct {
            UINT16 CoalescedSegmentCount;
            UINT16 CoalescedSegmentSize;
        } UDP;
    };
} NET_PACKET_RSC;

#define NET_PACKET_EXTENSION_RSC_VERSION_1_SIZE sizeof(NET_PACKET_RSC)
#define NET_PACKET_EXTENSION_RSC_VERSION_2_SIZE sizeof(NET_PACKET_RSC)

#define NET_PACKET_EXTENSION_RSC_TIMESTAMP_NAME L"ms_packet_rsc_timestamp"
#define NET_PACKET_EXTENSION_RSC_TIMESTAMP_VERSION_1 1U

typedef struct _NET_PACKET_RSC_TIMESTAMP {
    union {
        struct {
            UINT32 RscTcpTimestampDelta;
        } TCP;
    };
} NET_PACKET_RSC_TIMESTAMP;

#define NET_PACKET_EXTENSION_RSC_TIMESTAMP_VERSION_1_SIZE sizeof(NET_PACKET_RSC_TIMESTAMP)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_PACKET_RSC *NetExtensionGetPacketRsc(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_RSC *)NetExtensionGetData(Extension, Index);
}

UMNET_INLINE NET_PACKET_RSC_TIMESTAMP *NetExtensionGetPacketRscTimestamp(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_RSC_TIMESTAMP *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
