/* The rings of one queue. */
#ifndef NET_RINGCOLLECTION_H
#define NET_RINGCOLLECTION_H

#pragma GCC system_header

#include "ring.h"

typedef enum _NET_RING_TYPE {
    NetRingTypePacket = 0,
    NetRingTypeFragment = 1,
    NetRingTypeDataBuffer = 2
} NET_RING_TYPE;

typedef struct _NET_RING_COLLECTION {
    NET_RING *Rings[3];         /* by NET_RING_TYPE */
} NET_RING_COLLECTION;

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_RING *NetRingCollectionGetPacketRing(NET_RING_COLLECTION const *Rings)
{
    return Rings->Rings[NetRingTypePacket];
}

UMNET_INLINE NET_RING *NetRingCollectionGetFragmentRing(NET_RING_COLLECTION const *Rings)
{
    return Rings->Rings[NetRingTypeFragment];
}

/* NULL wherever the framework attaches the buffers, as it does in user mode. */
UMNET_INLINE NET_RING *NetRingCollectionGetFragmentReturnContextRing(NET_RING_COLLECTION const *Rings)
{
    return Rings->Rings[NetRingTypeDataBuffer];
}

UMNET_EXTERN_C_END

#endif
