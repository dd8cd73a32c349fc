/* The class of network interfaces. */
#ifndef UMNET_NDISGUID_H
#define UMNET_NDISGUID_H

#pragma GCC system_header

#include "umnet/guid.h"

DEFINE_GUID(GUID_DEVINTERFACE_NET, 0xcac88484, 0x7515, 0x4c03, 0x82, 0xe6, 0x71, 0xa8, 0x7a, 0xba, 0xc3, 0x61);

#endif
