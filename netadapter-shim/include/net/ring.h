/*
 * A ring of elements with two owners: the client has those from BeginIndex up
 * to EndIndex, the framework the rest.
 */
#ifndef NET_RING_H
#define NET_RING_H

#pragma GCC system_header

#include "../umnet/nt.h"
#include "fragment.h"
#include "packet.h"

typedef struct _NET_RING {
    UINT16 OSReserved1;
    UINT16 ElementStride;       /* bytes from one element to the next */
    UINT32 NumberOfElements;    /* a power of two */
    UINT32 ElementIndexMask;
    UINT32 EndIndex;            /* written by the framework only */
    union {
        UINT32 OSReserved0;     /* the framework's own position */
        void *OSReserved2[4];
    };
    UINT32 BeginIndex;          /* written by the client only */
    UINT32 NextIndex;           /* the client's own */
    void *Scratch;              /* the client's own */
    DECLSPEC_ALIGN(64) UCHAR Buffer[1];
} NET_RING;

/* One position in both rings of a queue, to be exchanged as one number. */
typedef struct _NET_RING_INDICES {
    union {
        INT64 AsLONG64;
        struct {
            UINT32 Packet;
            UINT32 Fragment;
        };
    };
} NET_RING_INDICES;

UMNET_STATIC_ASSERT(sizeof(NET_RING_INDICES) == 8, "NET_RING_INDICES has 8 bytes");

UMNET_EXTERN_C_BEGIN

UMNET_INLINE void *NetRingGetElementAtIndex(NET_RING const *Ring, UINT32 Index)
{
    return (void *)(Ring->Buffer + (SIZE_T)Index * Ring->ElementStride);
}

UMNET_INLINE NET_PACKET *NetRingGetPacketAtIndex(NET_RING const *Ring, UINT32 Index)
{
    return (NET_PACKET *)NetRingGetElementAtIndex(Ring, Index);
}

UMNET_INLINE NET_FRAGMENT *NetRingGetFragmentAtIndex(NET_RING const *Ring, UINT32 Index)
{
    return (NET_FRAGMENT *)NetRingGetElementAtIndex(Ring, Index);
}

/* Index arithmetic goes round the ring. */
UMNET_INLINE UINT32 NetRingAdvanceIndex(NET_RING const *Ring, UINT32 Index, INT32 Distance)
{
    return (Index + (UINT32)Distance) & Ring->ElementIndexMask;
}

UMNET_INLINE UINT32 NetRingIncrementIndex(NET_RING const *Ring, UINT32 Index)
{
    return NetRingAdvanceIndex(Ring, Index, 1);
}

UMNET_INLINE UINT32 NetRingGetRangeCount(NET_RING const *Ring, UINT32 StartIndex, UINT32 EndIndex)
{
    NT_ASSERT(StartIndex < Ring->NumberOfElements);
    NT_ASSERT(EndIndex < Ring->NumberOfElements);
    return (EndIndex - StartIndex) & Ring->ElementIndexMask;
}

UMNET_EXTERN_C_END

#endif
