/* A fragment's client buffer, from version 2.6 on. Never there at 2.5. */
#ifndef NET_NETMEMORY_H
#define NET_NETMEMORY_H

#pragma GCC system_header

#include "extension.h"

#define NET_FRAGMENT_EXTENSION_NET_MEMORY_NAME L"ms_fragment_netmemory"
#define NET_FRAGMENT_EXTENSION_NET_MEMORY_VERSION_1 1U

DECLARE_HANDLE(NETMEMORY);

typedef struct _NET_FRAGMENT_NET_MEMORY {
    NETMEMORY NetMemory;
} NET_FRAGMENT_NET_MEMORY;

#define NET_FRAGMENT_EXTENSION_NET_MEMORY_VERSION_1_SIZE sizeof(NET_FRAGMENT_NET_MEMORY)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_FRAGMENT_NET_MEMORY *NetExtensionGetFragmentNetMemory(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_FRAGMENT_NET_MEMORY *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
