/* The receive hash of a packet, and what was hashed. */
#ifndef NET_PACKETHASH_H
#define NET_PACKETHASH_H

#pragma GCC system_header

#include "extension.h"

#define NET_PACKET_EXTENSION_HASH_NAME L"ms_packet_hash"
#define NET_PACKET_EXTENSION_HASH_VERSION_1 1U

typedef enum _NET_PACKET_HASH_PROTOCOL_TYPE {
    NetPacketHashProtocolTypeNone = 0x00,
    NetPacketHashProtocolTypeIPv4 = 0x01,
    NetPacketHashProtocolTypeIPv4Options = 0x02,
    NetPacketHashProtocolTypeIPv6 = 0x04,
    NetPacketHashProtocolTypeIPv6Extensions = 0x08,
    NetPacketHashProtocolTypeTcp = 0x10,
    NetPacketHashProtocolTypeUdp = 0x20
} NET_PACKET_HASH_PROTOCOL_TYPE;

typedef struct _NET_PACKET_HASH {
    UINT32 HashValue;
    UINT16 ProtocolType;
} NET_PACKET_HASH;

#define NET_PACKET_EXTENSION_HASH_VERSION_1_SIZE sizeof(NET_PACKET_HASH)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_PACKET_HASH *NetExtensionGetPacketHash(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_HASH *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
