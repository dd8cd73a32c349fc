/*
 * Walking over packets and fragments: an iterator is a copy of two indices;
 * nothing is visible to the framework before Set. Clients that bring their own
 * netringiterator.h never see this one.
 */
#ifndef UMNET_NETRINGITERATOR_H
#define UMNET_NETRINGITERATOR_H

#pragma GCC system_header

#include "../net/ringcollection.h"

typedef struct _NET_RING_ITERATOR {
    NET_RING_COLLECTION const *Rings;
    UINT32 *IndexToSet;         /* what Set writes; NULL: nothing */
    UINT32 Index;
    UINT32 End;
} NET_RING_ITERATOR;

typedef struct _NET_RING_PACKET_ITERATOR {
    NET_RING_ITERATOR Iterator;
} NET_RING_PACKET_ITERATOR;

typedef struct _NET_RING_FRAGMENT_ITERATOR {
    NET_RING_ITERATOR Iterator;
} NET_RING_FRAGMENT_ITERATOR;

UMNET_EXTERN_C_BEGIN

/* Which range: Post is what is not with the hardware yet, Drain what is. */
#define UMNET_RANGE(What, Kind, KIND, RingType, from, to) \
    UMNET_INLINE NET_RING_##KIND##_ITERATOR NetRingGet##What##Kind##s(NET_RING_COLLECTION const *Rings) \
    { \
        NET_RING *ring = Rings->Rings[RingType]; \
        NET_RING_##KIND##_ITERATOR iterator = { { Rings, &ring->from, ring->from, ring->to } }; \
        return iterator; \
    }

#define UMNET_ITERATOR(Kind, KIND, RingType) \
    UMNET_RANGE(Post, Kind, KIND, RingType, NextIndex, EndIndex) \
    UMNET_RANGE(Drain, Kind, KIND, RingType, BeginIndex, NextIndex) \
    UMNET_RANGE(All, Kind, KIND, RingType, BeginIndex, EndIndex) \
    UMNET_INLINE NET_##KIND *Net##Kind##IteratorGet##Kind(NET_RING_##KIND##_ITERATOR const *Iterator) \
    { \
        return NetRingGet##Kind##AtIndex(Iterator->Iterator.Rings->Rings[RingType], Iterator->Iterator.Index); \
    } \
    UMNET_INLINE UINT32 Net##Kind##IteratorGetIndex(NET_RING_##KIND##_ITERATOR const *Iterator) \
    { \
        return Iterator->Iterator.Index; \
    } \
    UMNET_INLINE BOOLEAN Net##Kind##IteratorHasAny(NET_RING_##KIND##_ITERATOR const *Iterator) \
    { \
        return Iterator->Iterator.Index != Iterator->Iterator.End; \
    } \
    UMNET_INLINE UINT32 Net##Kind##IteratorGetCount(NET_RING_##KIND##_ITERATOR const *Iterator) \
    { \
        return (Iterator->Iterator.End - Iterator->Iterator.Index) & Iterator->Iterator.Rings->Rings[RingType]->ElementIndexMask; \
    } \
    UMNET_INLINE void Net##Kind##IteratorAdvance(NET_RING_##KIND##_ITERATOR *Iterator) \
    { \
        Iterator->Iterator.Index = NetRingIncrementIndex(Iterator->Iterator.Rings->Rings[RingType], Iterator->Iterator.Index); \
    } \
    UMNET_INLINE void Net##Kind##IteratorAdvanceToTheEnd(NET_RING_##KIND##_ITERATOR *Iterator) \
    { \
        Iterator->Iterator.Index = Iterator->Iterator.End; \
    } \
    UMNET_INLINE void Net##Kind##IteratorSet(NET_RING_##KIND##_ITERATOR const *Iterator) \
    { \
        if (Iterator->Iterator.IndexToSet) \
            *Iterator->Iterator.IndexToSet = Iterator->Iterator.Index; \
    }

UMNET_ITERATOR(Packet, PACKET, NetRingTypePacket)
UMNET_ITERATOR(Fragment, FRAGMENT, NetRingTypeFragment)

/* The fragments of the packet the iterator is at: none, when the count is 0. */
UMNET_INLINE NET_RING_FRAGMENT_ITERATOR NetPacketIteratorGetFragments(NET_RING_PACKET_ITERATOR const *Iterator)
{
    NET_RING const *ring = Iterator->Iterator.Rings->Rings[NetRingTypeFragment];
    NET_PACKET const *packet = NetPacketIteratorGetPacket(Iterator);
    UINT32 first = packet->FragmentIndex & ring->ElementIndexMask;
    NET_RING_FRAGMENT_ITERATOR iterator = { { Iterator->Iterator.Rings, 0, first, NetRingAdvanceIndex(ring, first, packet->FragmentCount) } };
    return iterator;
}

UMNET_EXTERN_C_END

#undef UMNET_RANGE
#undef UMNET_ITERATOR

#endif
