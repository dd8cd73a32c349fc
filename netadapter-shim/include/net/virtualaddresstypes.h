/* Where a fragment's buffer is. */
#ifndef NET_VIRTUALADDRESSTYPES_H
#define NET_VIRTUALADDRESSTYPES_H

#pragma GCC system_header

#include "extension.h"

#define NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME L"ms_fragment_virtualaddress"
#define NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1 1U

typedef struct _NET_FRAGMENT_VIRTUAL_ADDRESS {
    void *VirtualAddress;
} NET_FRAGMENT_VIRTUAL_ADDRESS;

#define NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1_SIZE sizeof(NET_FRAGMENT_VIRTUAL_ADDRESS)

#endif
