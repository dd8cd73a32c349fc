/* A fragment's memory descriptor list. Never there in user mode. */
#ifndef NET_MDL_H
#define NET_MDL_H

#pragma GCC system_header

#include "extension.h"

#define NET_FRAGMENT_EXTENSION_MDL_NAME L"ms_fragment_mdl"
#define NET_FRAGMENT_EXTENSION_MDL_VERSION_1 1U

typedef struct _MDL MDL, *PMDL;

typedef struct _NET_FRAGMENT_MDL {
    MDL *Mdl;
} NET_FRAGMENT_MDL;

#define NET_FRAGMENT_EXTENSION_MDL_VERSION_1_SIZE sizeof(NET_FRAGMENT_MDL)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_FRAGMENT_MDL *NetExtensionGetFragmentMdl(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_FRAGMENT_MDL *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
