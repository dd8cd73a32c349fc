/*
 * Facts beside a packet or a fragment: asked for by name, read by the index of
 * the packet or fragment. One that is absent has Enabled FALSE.
 */
#ifndef NET_EXTENSION_H
#define NET_EXTENSION_H

#pragma GCC system_header

#include "../umnet/nt.h"

typedef enum _NET_EXTENSION_TYPE {
    NetExtensionTypePacket = 1,
    NetExtensionTypeFragment = 2,
    NetExtensionTypeBuffer = 3
} NET_EXTENSION_TYPE;

typedef struct _NET_EXTENSION {
    void *Reserved[4];          /* [0] the first one, [1] bytes to the next */
    union {
        BOOLEAN Enabled;
        void *Reserved1;
    };
} NET_EXTENSION;

typedef struct _NET_EXTENSION_QUERY {
    ULONG Size;
    WCHAR const *Name;
    ULONG Version;              /* this one or a later one */
    NET_EXTENSION_TYPE Type;
} NET_EXTENSION_QUERY;

UMNET_EXTERN_C_BEGIN

UMNET_INLINE void NET_EXTENSION_QUERY_INIT(NET_EXTENSION_QUERY *Query, PCWSTR Name, ULONG Version, NET_EXTENSION_TYPE Type)
{
    RtlZeroMemory(Query, sizeof(*Query));
    Query->Size = sizeof(*Query);
    Query->Name = Name;
    Query->Version = Version;
    Query->Type = Type;
}

UMNET_INLINE void *NetExtensionGetData(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (UCHAR *)Extension->Reserved[0] + (SIZE_T)Extension->Reserved[1] * Index;
}

UMNET_EXTERN_C_END

#endif
