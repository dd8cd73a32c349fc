/* Where a fragment's buffer is: always there. */
#ifndef NET_VIRTUALADDRESS_H
#define NET_VIRTUALADDRESS_H

#pragma GCC system_header

#include "fragment.h"
#include "virtualaddresstypes.h"

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_FRAGMENT_VIRTUAL_ADDRESS *NetExtensionGetFragmentVirtualAddress(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_FRAGMENT_VIRTUAL_ADDRESS *)NetExtensionGetData(Extension, Index);
}

/* Where the data begins. */
UMNET_INLINE void *NetExtensionGetFragmentVirtualAddressOffset(NET_FRAGMENT const *Fragment, NET_EXTENSION const *Extension, UINT32 Index)
{
    return (UCHAR *)NetExtensionGetFragmentVirtualAddress(Extension, Index)->VirtualAddress + Fragment->Offset;
}

UMNET_EXTERN_C_END

#endif
