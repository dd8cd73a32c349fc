/* Checksums: on Tx what is required, on Rx what was found, for each layer. */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#pragma GCC system_header

#include "extension.h"

#define NET_PACKET_EXTENSION_CHECKSUM_NAME L"ms_packet_checksum"
#define NET_PACKET_EXTENSION_CHECKSUM_VERSION_1 1U

typedef enum _NET_PACKET_RX_CHECKSUM_EVALUATION {
    NetPacketRxChecksumEvaluationNotChecked = 0,
    NetPacketRxChecksumEvaluationValid = 1,
    NetPacketRxChecksumEvaluationInvalid = 2
} NET_PACKET_RX_CHECKSUM_EVALUATION;

typedef enum _NET_PACKET_TX_CHECKSUM_ACTION {
    NetPacketTxChecksumActionPassthrough = 0,
    NetPacketTxChecksumActionRequired = 2
} NET_PACKET_TX_CHECKSUM_ACTION;

typedef struct _NET_PACKET_CHECKSUM {
    UINT8 Layer2 : 2;
    UINT8 Layer3 : 2;
    UINT8 Layer4 : 2;
    UINT8 Reserved : 2;
} NET_PACKET_CHECKSUM;

#define NET_PACKET_EXTENSION_CHECKSUM_VERSION_1_SIZE sizeof(NET_PACKET_CHECKSUM)

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NET_PACKET_CHECKSUM *NetExtensionGetPacketChecksum(NET_EXTENSION const *Extension, UINT32 Index)
{
    return (NET_PACKET_CHECKSUM *)NetExtensionGetData(Extension, Index);
}

UMNET_EXTERN_C_END

#endif
