/* Kinds of Ethernet addresses. */
#ifndef UMNET_XFILTER_H
#define UMNET_XFILTER_H

#pragma GCC system_header

#include "ntddndis.h"

#define ETH_LENGTH_OF_HEADER 14
#define ETH_IS_MULTICAST(address) ((BOOLEAN)(((PUCHAR)(address))[0] & 0x01))
#define ETH_IS_BROADCAST(address) \
    ((((PUCHAR)(address))[0] & ((PUCHAR)(address))[1] & ((PUCHAR)(address))[2] & \
      ((PUCHAR)(address))[3] & ((PUCHAR)(address))[4] & ((PUCHAR)(address))[5]) == 0xff)
#define ETH_COPY_NETWORK_ADDRESS(to, from) ((void)memcpy((to), (from), ETH_LENGTH_OF_ADDRESS))
#define ETH_COMPARE_NETWORK_ADDRESSES_EQ(a, b, result) (*(result) = memcmp((a), (b), ETH_LENGTH_OF_ADDRESS) != 0)

#endif
