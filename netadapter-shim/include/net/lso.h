/* Large sends under their first name: see gso.h. Registered always, set never. */
#ifndef NET_LSO_H
#define NET_LSO_H

#pragma GCC system_header

#include "extension.h"

#define NET_PACKET_EXTENSION_LSO_NAME L"ms_packet_lso"
#define NET_PACKET_EXTENSION_LSO_VERSION_1 1U

typedef struct _NET_PACKET_LSO {
    union {
        struct {
            UINT32 Mss : 20;
            UINT32 Reserved0 : 12;
        } TCP;
    };
} NET_PACKET_LSO;

#define NET_PACKET_EXTENSION_LSO_VERSION_1_SIZE sizeof(NET_PACKET_LSO)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_PACKET_LSO *NetExtensionGetPacketLso(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_LSO *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
