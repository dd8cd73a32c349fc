/* A packet: a run of fragments, and what its headers are. */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#pragma GCC system_header

#include "../umnet/nt.h"

typedef enum _NET_PACKET_LAYER2_TYPE {
    NetPacketLayer2TypeUnspecified = 0,
    NetPacketLayer2TypeNull = 1,
    NetPacketLayer2TypeEthernet = 2,
    NetPacketLayer2TypeIeee80211 = 3
} NET_PACKET_LAYER2_TYPE;

typedef enum _NET_PACKET_LAYER3_TYPE {
    NetPacketLayer3TypeUnspecified = 0,
    NetPacketLayer3TypeIPv4UnspecifiedOptions = 1,
    NetPacketLayer3TypeIPv4WithOptions = 2,
    NetPacketLayer3TypeIPv4NoOptions = 3,
    NetPacketLayer3TypeIPv6UnspecifiedExtensions = 4,
    NetPacketLayer3TypeIPv6WithExtensions = 5,
    NetPacketLayer3TypeIPv6NoExtensions = 6
} NET_PACKET_LAYER3_TYPE;

typedef enum _NET_PACKET_LAYER4_TYPE {
    NetPacketLayer4TypeUnspecified = 0,
    NetPacketLayer4TypeTcp = 1,
    NetPacketLayer4TypeUdp = 2,
    NetPacketLayer4TypeIPFragment = 3,
    NetPacketLayer4TypeIPNotFragment = 4
} NET_PACKET_LAYER4_TYPE;

/* Lengths in bytes. */
#pragma pack(push, 1)
typedef struct _NET_PACKET_LAYOUT {
    UINT16 Layer2HeaderLength : 7;
    UINT16 Layer3HeaderLength : 9;
    UINT8 Layer4HeaderLength;
    UINT8 Layer2Type : 4;
    UINT8 Layer3Type : 4;
    UINT8 Layer4Type : 4;
    UINT8 Reserved0 : 4;
} NET_PACKET_LAYOUT;
#pragma pack(pop)

typedef struct _NET_PACKET {
    UINT32 FragmentIndex;
    UINT16 FragmentCount;
    NET_PACKET_LAYOUT Layout;
    UINT8 Ignore : 1;
    UINT8 Scratch : 1;          /* the client's own */
    UINT8 Reserved1 : 6;
} NET_PACKET;

UMNET_STATIC_ASSERT(sizeof(NET_PACKET_LAYOUT) == 5, "NET_PACKET_LAYOUT is packed");
UMNET_STATIC_ASSERT(sizeof(NET_PACKET) == 12, "NET_PACKET has 12 bytes");

UMNET_EXTERN_C_BEGIN

UMNET_INLINE BOOLEAN NetPacketIsIpv4(NET_PACKET const *Packet)
{
    return Packet->Layout.Layer3Type >= NetPacketLayer3TypeIPv4UnspecifiedOptions &&
           Packet->Layout.Layer3Type <= NetPacketLayer3TypeIPv4NoOptions;
}

UMNET_INLINE BOOLEAN NetPacketIsIpv6(NET_PACKET const *Packet)
{
    return Packet->Layout.Layer3Type >= NetPacketLayer3TypeIPv6UnspecifiedExtensions &&
           Packet->Layout.Layer3Type <= NetPacketLayer3TypeIPv6NoExtensions;
}

/* What lies `Offset` bytes into a packet's element. */
UMNET_INLINE void *NetPacketGetExtension(NET_PACKET const *Packet, SIZE_T Offset)
{
    return (void *)((UCHAR const *)Packet + Offset);
}

UMNET_EXTERN_C_END

#endif
