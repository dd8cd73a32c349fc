/* A fragment's address on the bus. Never there in user mode. */
#ifndef NET_LOGICALADDRESS_H
#define NET_LOGICALADDRESS_H

#pragma GCC system_header

#include "extension.h"

#define NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME L"ms_fragment_logicaladdress"
#define NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_VERSION_1 1U

typedef UINT64 LOGICAL_ADDRESS;

typedef struct _NET_FRAGMENT_LOGICAL_ADDRESS {
    LOGICAL_ADDRESS LogicalAddress;
} NET_FRAGMENT_LOGICAL_ADDRESS;

#define NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_VERSION_1_SIZE sizeof(NET_FRAGMENT_LOGICAL_ADDRESS)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_FRAGMENT_LOGICAL_ADDRESS *NetExtensionGetFragmentLogicalAddress(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_FRAGMENT_LOGICAL_ADDRESS *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
