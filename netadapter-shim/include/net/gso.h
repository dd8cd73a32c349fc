/* Segmentation on Tx: a maximum segment size greater than zero asks for it. */
#ifndef NET_GSO_H
#define NET_GSO_H

#pragma GCC system_header

#include "extension.h"

#define NET_PACKET_EXTENSION_GSO_NAME L"ms_packet_gso"
#define NET_PACKET_EXTENSION_GSO_VERSION_1 1U

typedef struct _NET_PACKET_GSO {
    union {
        struct {
            UINT32 Mss : 20;
            UINT32 Reserved0 : 12;
        } TCP;
        struct {
            UINT32 Mss : 20;
            UINT32 Reserved0 : 12;
        } UDP;
    };
} NET_PACKET_GSO;

#define NET_PACKET_EXTENSION_GSO_VERSION_1_SIZE sizeof(NET_PACKET_GSO)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_PACKET_GSO *NetExtensionGetPacketGso(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_GSO *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
