/* A fragment's memory object. Never there in user mode. */
#ifndef NET_WDFMEMORY_H
#define NET_WDFMEMORY_H

#pragma GCC system_header

#include "extension.h"

#include "../wdf.h"

#define NET_FRAGMENT_EXTENSION_WDF_MEMORY_NAME L"ms_fragment_wdfmemory"
#define NET_FRAGMENT_EXTENSION_WDF_MEMORY_VERSION_1 1U

typedef struct _NET_FRAGMENT_WDFMEMORY {
    WDFMEMORY WdfMemory;
} NET_FRAGMENT_WDFMEMORY;

#define NET_FRAGMENT_EXTENSION_WDF_MEMORY_VERSION_1_SIZE sizeof(NET_FRAGMENT_WDFMEMORY)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_FRAGMENT_WDFMEMORY *NetExtensionGetFragmentWdfMemory(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_FRAGMENT_WDFMEMORY *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
