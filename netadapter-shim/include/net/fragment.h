/* One buffer of a packet. */
#ifndef NET_FRAGMENT_H
#define NET_FRAGMENT_H

#pragma GCC system_header

#include "../umnet/nt.h"

typedef struct _NET_FRAGMENT {
    UINT64 ValidLength : 26;    /* bytes of data */
    UINT64 Capacity : 26;       /* bytes of the buffer */
    UINT64 Offset : 10;         /* where the data begins */
    UINT64 Scratch : 1;         /* the client's own */
    UINT64 OsReserved_Bounced : 1;
} NET_FRAGMENT;

UMNET_STATIC_ASSERT(sizeof(NET_FRAGMENT) == 8, "NET_FRAGMENT has 8 bytes");

#endif
