/* Facts that travel beside a packet or a fragment. */
#ifndef NET_EXTENSION_H
#define NET_EXTENSION_H

#include "../umnet/types.h"

typedef enum _NET_EXTENSION_TYPE {
    NetExtensionTypePacket = 1,
    NetExtensionTypeFragment = 2,
    NetExtensionTypeBuffer = 3
} NET_EXTENSION_TYPE;

typedef struct _NET_EXTENSION {
    PVOID Reserved[4];          /* [0] first one, [1] distance */
    union {
        BOOLEAN Enabled;
        PVOID Reserved1;
    };
} NET_EXTENSION;

typedef struct _NET_EXTENSION_QUERY {
    ULONG Size;
    WCHAR const *Name;
    ULONG Version;
    NET_EXTENSION_TYPE Type;
} NET_EXTENSION_QUERY;

typedef struct _NET_PACKET_CHECKSUM {
    UINT8 Layer2 : 2;
    UINT8 Layer3 : 2;
    UINT8 Layer4 : 2;
    UINT8 Reserved : 2;
} NET_PACKET_CHECKSUM;

typedef struct _NET_PACKET_GSO {
    union {
        struct { UINT32 Mss : 20; UINT32 Reserved0 : 12; } TCP;
        struct { UINT32 Mss : 20; UINT32 Reserved0 : 12; } UDP;
    };
} NET_PACKET_GSO;

typedef struct _NET_PACKET_RSC {
    union {
        struct { UINT16 CoalescedSegmentCount; UINT16 DuplicateAckCount; } TCP;
        struct { UINT16 CoalescedSegmentCount; UINT16 CoalescedSegmentSize; } UDP;
    };
} NET_PACKET_RSC;

typedef struct _NET_PACKET_RSC_TIMESTAMP {
    union {
        struct { UINT32 RscTcpTimestampDelta; } TCP;
    };
} NET_PACKET_RSC_TIMESTAMP;

typedef struct _NET_PACKET_IEEE8021Q {
    UINT16 PriorityCodePoint : 3;
    UINT16 VlanIdentifier : 12;
    UINT8 TxTagging : 2;
} NET_PACKET_IEEE8021Q;

typedef struct _NET_PACKET_HASH {
    UINT32 HashValue;
    UINT16 ProtocolType;
} NET_PACKET_HASH;

typedef struct _NET_FRAGMENT_VIRTUAL_ADDRESS {
    PVOID VirtualAddress;
} NET_FRAGMENT_VIRTUAL_ADDRESS;

#endif
