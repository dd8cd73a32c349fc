/* A ring of elements with two owners: the client has [BeginIndex, EndIndex). */
#ifndef NET_RING_H
#define NET_RING_H

#include "../umnet/types.h"

typedef struct _NET_RING {
    UINT16 OSReserved1;
    UINT16 ElementStride;       /* bytes from one element to the next */
    UINT32 NumberOfElements;    /* a power of two */
    UINT32 ElementIndexMask;
    UINT32 EndIndex;            /* written by the framework only */
    union {
        UINT32 OSReserved0;     /* the framework's own position */
        PVOID OSReserved2[4];
    };
    UINT32 BeginIndex;          /* written by the client only */
    UINT32 NextIndex;           /* the client's own */
    PVOID Scratch;              /* the client's own */
    _Alignas(64) UCHAR Buffer[1];
} NET_RING;

typedef enum _NET_RING_TYPE {
    NetRingTypePacket = 0,
    NetRingTypeFragment = 1,
    NetRingTypeDataBuffer = 2
} NET_RING_TYPE;

typedef struct _NET_RING_COLLECTION {
    NET_RING *Rings[3];         /* by NET_RING_TYPE */
} NET_RING_COLLECTION;

#endif
