/* Receive scaling: several Rx queues, chosen by a hash. */
#ifndef UMNET_NET_SCALING_H
#define UMNET_NET_SCALING_H

#pragma GCC system_header

UMNET_EXTERN_C_BEGIN

typedef enum _NET_ADAPTER_RECEIVE_SCALING_UNHASHED_TARGET_TYPE {
    NetAdapterReceiveScalingUnhashedTargetTypeUnspecified = 0,
    NetAdapterReceiveScalingUnhashedTargetTypeHashIndex = 1
} NET_ADAPTER_RECEIVE_SCALING_UNHASHED_TARGET_TYPE;

typedef enum _NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE {
    NetAdapterReceiveScalingHashTypeNone = 0,
    NetAdapterReceiveScalingHashTypeToeplitz = 1
} NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE;

typedef enum _NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE {
    NetAdapterReceiveScalingProtocolTypeNone = 0x00,
    NetAdapterReceiveScalingProtocolTypeIPv4 = 0x01,
    NetAdapterReceiveScalingProtocolTypeIPv4Options = 0x02,
    NetAdapterReceiveScalingProtocolTypeIPv6 = 0x04,
    NetAdapterReceiveScalingProtocolTypeIPv6Extensions = 0x08,
    NetAdapterReceiveScalingProtocolTypeTcp = 0x10,
    NetAdapterReceiveScalingProtocolTypeUdp = 0x20
} NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE;

typedef enum _NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION_TYPE {
    NetAdapterReceiveScalingEncapsulationTypeNone = 0,
    NetAdapterReceiveScalingEncapsulationTypeNVGre = 1,
    NetAdapterReceiveScalingEncapsulationTypeVXLan = 2,
    NetAdapterReceiveScalingEncapsulationTypeVLan = 4
} NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION_TYPE;

typedef struct _NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION {
    NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION_TYPE Outer;
    NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION_TYPE Inner;
} NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION;

typedef struct _NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY {
    UINT8 const *Key;
    SIZE_T Length;              /* bytes: 40 */
} NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY;

typedef struct _NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY {
    NETPACKETQUEUE PacketQueue;
    NTSTATUS Status;            /* the client's answer for this entry */
    UINT32 Index;
} NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY;

typedef struct _NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES {
    NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY *Entries;
    SIZE_T Length;              /* how many */
} NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES;

typedef NTSTATUS EVT_NET_ADAPTER_RECEIVE_SCALING_ENABLE(NETADAPTER Adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE HashType, NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE ProtocolType);
typedef EVT_NET_ADAPTER_RECEIVE_SCALING_ENABLE *PFN_NET_ADAPTER_RECEIVE_SCALING_ENABLE;
typedef void EVT_NET_ADAPTER_RECEIVE_SCALING_DISABLE(NETADAPTER Adapter);
typedef EVT_NET_ADAPTER_RECEIVE_SCALING_DISABLE *PFN_NET_ADAPTER_RECEIVE_SCALING_DISABLE;
typedef NTSTATUS EVT_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY(NETADAPTER Adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY const *HashSecretKey);
typedef EVT_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY *PFN_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY;
typedef NTSTATUS EVT_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES(NETADAPTER Adapter, NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES *IndirectionEntries);
typedef EVT_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES *PFN_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES;

typedef struct _NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES {
    ULONG Size;
    SIZE_T NumberOfQueues;
    SIZE_T IndirectionTableSize;
    SIZE_T UnhashedTargetIndex;
    NET_ADAPTER_RECEIVE_SCALING_UNHASHED_TARGET_TYPE UnhashedTargetType;
    NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE ReceiveScalingHashTypes;
    NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE ReceiveScalingProtocolTypes;
    NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION ReceiveScalingEncapsulationTypes;
    BOOLEAN SynchronizeSetIndirectionEntries;
    PFN_NET_ADAPTER_RECEIVE_SCALING_ENABLE EvtAdapterReceiveScalingEnable;
    PFN_NET_ADAPTER_RECEIVE_SCALING_DISABLE EvtAdapterReceiveScalingDisable;
    PFN_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY EvtAdapterReceiveScalingSetHashSecretKey;
    PFN_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES EvtAdapterReceiveScalingSetIndirectionEntries;
} NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES;

UMNET_INLINE void NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES_INIT(
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES *Capabilities,
    SIZE_T NumberOfQueues,
    NET_ADAPTER_RECEIVE_SCALING_UNHASHED_TARGET_TYPE UnhashedTargetType,
    NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE HashTypes,
    NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE ProtocolTypes,
    PFN_NET_ADAPTER_RECEIVE_SCALING_ENABLE Enable,
    PFN_NET_ADAPTER_RECEIVE_SCALING_DISABLE Disable,
    PFN_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY SetHashSecretKey,
    PFN_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES SetIndirectionEntries)
{
    WDF_STRUCT_INIT(Capabilities);
    Capabilities->NumberOfQueues = NumberOfQueues;
    Capabilities->IndirectionTableSize = 128;
    Capabilities->UnhashedTargetType = UnhashedTargetType;
    Capabilities->ReceiveScalingHashTypes = HashTypes;
    Capabilities->ReceiveScalingProtocolTypes = ProtocolTypes;
    Capabilities->EvtAdapterReceiveScalingEnable = Enable;
    Capabilities->EvtAdapterReceiveScalingDisable = Disable;
    Capabilities->EvtAdapterReceiveScalingSetHashSecretKey = SetHashSecretKey;
    Capabilities->EvtAdapterReceiveScalingSetIndirectionEntries = SetIndirectionEntries;
}

UMNET_EXTERN_C_END

DEFINE_ENUM_FLAG_OPERATORS(NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE)
DEFINE_ENUM_FLAG_OPERATORS(NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE)
DEFINE_ENUM_FLAG_OPERATORS(NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION_TYPE)

#endif
