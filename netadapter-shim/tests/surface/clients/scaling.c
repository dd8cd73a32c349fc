/* Receive scaling: a device that hashes, here by the last byte of a frame, and looks up its queue. */
#define HAVE_STATE
#define HAVE_CREATED
#define HAVE_SENT
#define HAVE_RECEIVED
#define HAVE_DO
#include "surface.h"

enum { TableSize = 128, KeyLength = 40 };

static NETPACKETQUEUE Table[TableSize];
static UCHAR Key[KeyLength];
static BOOLEAN Enabled;
static ULONG Refused;

static EVT_NET_ADAPTER_RECEIVE_SCALING_ENABLE EnableScaling;
static NTSTATUS EnableScaling(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_TYPE hash, NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE protocols)
{
    NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE wanted = NetAdapterReceiveScalingProtocolTypeIPv4 | NetAdapterReceiveScalingProtocolTypeIPv6 | NetAdapterReceiveScalingProtocolTypeTcp;
    CHECK(adapter == Adapter && hash == NetAdapterReceiveScalingHashTypeToeplitz && protocols == wanted);
    if (Configured(adapter, L"RefuseEnable", 0))
        return STATUS_DEVICE_NOT_READY;
    Enabled = TRUE;
    SAY("enabled");
    return STATUS_SUCCESS;
}

static EVT_NET_ADAPTER_RECEIVE_SCALING_DISABLE DisableScaling;
static void DisableScaling(NETADAPTER adapter)
{
    CHECK(adapter == Adapter);
    Enabled = FALSE;
    SAY("disabled");
}

static EVT_NET_ADAPTER_RECEIVE_SCALING_SET_HASH_SECRET_KEY SetKey;
static NTSTATUS SetKey(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_HASH_SECRET_KEY const *key)
{
    ULONG different = 0;
    CHECK(adapter == Adapter && key->Length == KeyLength && !Enabled);
    RtlCopyMemory(Key, key->Key, KeyLength);
    for (ULONG i = 1; i < KeyLength; i++)
        different += Key[i] != Key[0];
    SAY("key of %u bytes%s", (ULONG)key->Length, different > KeyLength / 2 ? "" : " that are all the same");
    return STATUS_SUCCESS;
}

static EVT_NET_ADAPTER_RECEIVE_SCALING_SET_INDIRECTION_ENTRIES SetEntries;
static NTSTATUS SetEntries(NETADAPTER adapter, NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRIES *entries)
{
    ULONG refuse = Configured(adapter, L"RefuseEntry", TableSize), shares[MostQueues] = { 0 };
    for (SIZE_T i = 0; i < entries->Length; i++) {
        NET_ADAPTER_RECEIVE_SCALING_INDIRECTION_ENTRY *entry = &entries->Entries[i];
        CHECK(entry->Index < TableSize && entry->PacketQueue);
        entry->Status = entry->Index == refuse ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
        Refused += !NT_SUCCESS(entry->Status);
        Table[entry->Index] = entry->PacketQueue;
        shares[GetQueue(entry->PacketQueue)->Id]++;
    }
    SAY("%u entries, shares %u %u %u %u", (ULONG)entries->Length, shares[0], shares[1], shares[2], shares[3]);
    return STATUS_SUCCESS;
}

static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES scaling;
    NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE protocols = NetAdapterReceiveScalingProtocolTypeNone;
    UNREFERENCED_PARAMETER(device);
    protocols = (NET_ADAPTER_RECEIVE_SCALING_PROTOCOL_TYPE)(protocols | NetAdapterReceiveScalingProtocolTypeIPv4 | NetAdapterReceiveScalingProtocolTypeIPv6 | NetAdapterReceiveScalingProtocolTypeTcp);
    NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES_INIT(&scaling, Configured(adapter, L"Queues", 4), NetAdapterReceiveScalingUnhashedTargetTypeHashIndex, NetAdapterReceiveScalingHashTypeToeplitz, protocols, EnableScaling, DisableScaling, SetKey, SetEntries);
    CHECK(scaling.IndirectionTableSize == TableSize);
    NET_ADAPTER_RECEIVE_SCALING_ENCAPSULATION encapsulation = { NetAdapterReceiveScalingEncapsulationTypeNone, NetAdapterReceiveScalingEncapsulationTypeVLan };
    scaling.ReceiveScalingEncapsulationTypes = encapsulation;
    scaling.SynchronizeSetIndirectionEntries = TRUE;
    NetAdapterSetReceiveScalingCapabilities(adapter, &scaling);
}

static void Created(NETPACKETQUEUE handle, QUEUE *queue)
{
    UNREFERENCED_PARAMETER(handle);
    CHECK(queue->Hash.Enabled);
}

static UINT32 HashOf(FRAME const *frame)
{
    return frame->Bytes[frame->Length - 1];
}

static void Sent(QUEUE *queue, UINT32 index, FRAME *frame)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(index);
    NETPACKETQUEUE target = Table[HashOf(frame) % TableSize];
    frame->Target = Enabled && target ? GetQueue(target)->Id : 0;
}

static void Received(QUEUE *queue, UINT32 index, FRAME *frame)
{
    NET_PACKET_HASH *hash = NetExtensionGetPacketHash(&queue->Hash, index);
    CHECK(hash->HashValue == 0 && hash->ProtocolType == NetPacketHashProtocolTypeNone);
    hash->HashValue = HashOf(frame);
    hash->ProtocolType = NetPacketHashProtocolTypeIPv4 | NetPacketHashProtocolTypeTcp;
    SAY("hash %u on queue %u", hash->HashValue, queue->Id);
}

static void Do(ULONG number, ULONG argument)
{
    UNREFERENCED_PARAMETER(argument);
    if (number == 1)
        SAY("%u refused, enabled %u", Refused, Enabled);
}
