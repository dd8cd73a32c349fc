/* 802.1Q: on Tx the tag to insert, on Rx the tag that was taken out. */
#ifndef NET_IEEE8021Q_H
#define NET_IEEE8021Q_H

#pragma GCC system_header

#include "extension.h"

#define NET_PACKET_EXTENSION_IEEE8021Q_NAME L"ms_packet_ieee8021q"
#define NET_PACKET_EXTENSION_IEEE8021Q_VERSION_1 1U

typedef enum _NET_PACKET_TX_IEEE8021Q_ACTION_FLAGS {
    NetPacketTxIeee8021qActionFlagPassthrough = 0,
    NetPacketTxIeee8021qActionFlagPriorityRequired = 1,
    NetPacketTxIeee8021qActionFlagVlanRequired = 2
} NET_PACKET_TX_IEEE8021Q_ACTION_FLAGS;

typedef struct _NET_PACKET_IEEE8021Q {
    UINT16 PriorityCodePoint : 3;
    UINT16 VlanIdentifier : 12;
    UINT8 TxTagging : 2;
} NET_PACKET_IEEE8021Q;

DEFINE_ENUM_FLAG_OPERATORS(NET_PACKET_TX_IEEE8021Q_ACTION_FLAGS)

#define NET_PACKET_EXTENSION_IEEE8021Q_VERSION_1_SIZE sizeof(NET_PACKET_IEEE8021Q)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_PACKET_IEEE8021Q *NetExtensionGetPacketIeee8021Q(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_IEEE8021Q *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
