/* The buffer that a client attached to a fragment. Never there in user mode. */
#ifndef NET_DATABUFFER_H
#define NET_DATABUFFER_H

#pragma GCC system_header

#include "extension.h"

#define NET_FRAGMENT_EXTENSION_DATA_BUFFER_NAME L"ms_fragment_databuffer"
#define NET_FRAGMENT_EXTENSION_DATA_BUFFER_VERSION_1 1U

typedef struct _NET_FRAGMENT_DATA_BUFFER {
    void *Handle;
} NET_FRAGMENT_DATA_BUFFER;

#define NET_FRAGMENT_EXTENSION_DATA_BUFFER_VERSION_1_SIZE sizeof(NET_FRAGMENT_DATA_BUFFER)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_FRAGMENT_DATA_BUFFER *NetExtensionGetFragmentDataBuffer(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_FRAGMENT_DATA_BUFFER *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
