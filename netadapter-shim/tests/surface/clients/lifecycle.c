/* One adapter's life: what it states, its queues' callbacks, its rings and extensions, its packets. */
#define HAVE_STATE
#define HAVE_STARTED
#define HAVE_CREATED
#define HAVE_QUEUE_START
#define HAVE_SENT
#define HAVE_HOLD
#define HAVE_DO
#include "surface.h"

enum { SetLink = 1, SetMtu = 2, SetAddress = 3, Restart = 4, SayNumber = 5, Disconnect = 6, SetHold = 7 };

static BOOLEAN volatile Holding;

static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_LUID luid = NetAdapterGetNetLuid(adapter);
    NET_DRIVER_GLOBALS const *globals = (NET_DRIVER_GLOBALS const *)UmnetClient.Globals;
    UNREFERENCED_PARAMETER(device);
    CHECK(globals);
    CHECK(luid.Info.IfType == IF_TYPE_ETHERNET_CSMACD && luid.Info.NetLuidIndex == 1);
    CHECK(NET_IS_FUNCTION_AVAILABLE(NetAdapterStart) && NET_IS_FUNCTION_AVAILABLE(NetConfigurationClose));
    CHECK(NETADAPTER_VERSION_MAJOR == 2 && NET_MINIMUM_VERSION_REQUIRED <= NETADAPTER_VERSION_MINOR);
    SAY("stated");
}

static void Started(NETADAPTER adapter)
{
    UNREFERENCED_PARAMETER(adapter);
    CHECK(!TxQueues[0] && !RxQueues[0]);
    SAY("started");
}

static BOOLEAN IsAbsent(NET_EXTENSION const *extension)
{
    UCHAR const *bytes = (UCHAR const *)extension;
    for (SIZE_T i = 0; i < sizeof(*extension); i++)
        if (bytes[i])
            return FALSE;
    return extension->Enabled == FALSE;
}

/* What user mode and this client's capabilities do not have reads as all zeros. */
static void CheckAbsent(NETPACKETQUEUE handle, QUEUE *queue)
{
    static PCWSTR const fragments[] = { NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME, NET_FRAGMENT_EXTENSION_MDL_NAME, NET_FRAGMENT_EXTENSION_RETURN_CONTEXT_NAME, NET_FRAGMENT_EXTENSION_DATA_BUFFER_NAME, NET_FRAGMENT_EXTENSION_NET_MEMORY_NAME, NET_FRAGMENT_EXTENSION_WDF_MEMORY_NAME, L"my_own" };
    for (ULONG i = 0; i < RTL_NUMBER_OF(fragments); i++) {
        NET_EXTENSION extension = Extension(handle, queue->Tx, fragments[i], 1, NetExtensionTypeFragment);
        CHECK(IsAbsent(&extension));
    }
    NET_EXTENSION buffer = Extension(handle, queue->Tx, NET_FRAGMENT_EXTENSION_NET_MEMORY_NAME, 1, NetExtensionTypeBuffer);
    NET_EXTENSION later = Extension(handle, queue->Tx, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, 2, NetExtensionTypeFragment);
    NET_EXTENSION packet = Extension(handle, queue->Tx, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, 1, NetExtensionTypePacket);
    CHECK(IsAbsent(&buffer) && IsAbsent(&later) && IsAbsent(&packet));
    CHECK(IsAbsent(&queue->Checksum) && IsAbsent(&queue->Gso) && IsAbsent(&queue->Rsc) && IsAbsent(&queue->Timestamp) && IsAbsent(&queue->Tag) && IsAbsent(&queue->Hash));
    CHECK(queue->Address.Enabled && queue->Lso.Enabled);
}

static void Created(NETPACKETQUEUE handle, QUEUE *queue)
{
    NET_RING_COLLECTION const *rings = queue->Rings;
    NET_RING *packets = NetRingCollectionGetPacketRing(rings);
    NET_RING *fragments = NetRingCollectionGetFragmentRing(rings);
    CHECK(rings->Rings[NetRingTypePacket] == packets && rings->Rings[NetRingTypeFragment] == fragments);
    CHECK(NetRingCollectionGetFragmentReturnContextRing(rings) == NULL && rings->Rings[NetRingTypeDataBuffer] == NULL);
    CHECK(rings == (queue->Tx ? NetTxQueueGetRingCollection(handle) : NetRxQueueGetRingCollection(handle)));
    CHECK(packets->NumberOfElements == 8 && packets->ElementIndexMask == 7);
    CHECK((void *)NetRingGetPacketAtIndex(packets, 3) == NetRingGetElementAtIndex(packets, 3));
    /* An extension of an element lies behind what the element begins with. */
    SIZE_T offset = (SIZE_T)((UCHAR *)queue->Lso.Reserved[0] - packets->Buffer);
    CHECK(NetPacketGetExtension(NetRingGetPacketAtIndex(packets, 3), offset) == NetExtensionGetData(&queue->Lso, 3));
    CHECK(offset >= sizeof(NET_PACKET) && offset < packets->ElementStride);
    CheckAbsent(handle, queue);
    SAY("created %s %u", queue->Tx ? "tx" : "rx", queue->Id);
}

static EVT_PACKET_QUEUE_START QueueStart;
static void QueueStart(NETPACKETQUEUE handle)
{
    QUEUE *queue = GetQueue(handle);
    for (int type = NetRingTypePacket; type <= NetRingTypeFragment; type++) {
        NET_RING const *ring = queue->Rings->Rings[type];
        CHECK(ring->BeginIndex == 0 && ring->NextIndex == 0 && ring->EndIndex == 0);
        CHECK(NetRingGetRangeCount(ring, ring->BeginIndex, ring->EndIndex) == 0);
    }
    SAY("start %s", queue->Tx ? "tx" : "rx");
}

static EVT_PACKET_QUEUE_STOP QueueStop;
static void QueueStop(NETPACKETQUEUE handle)
{
    QUEUE *queue = GetQueue(handle);
    NET_RING const *packets = NetRingCollectionGetPacketRing(queue->Rings);
    CHECK(queue->Cancelled && packets->BeginIndex == packets->EndIndex);
    SAY("stop %s", queue->Tx ? "tx" : "rx");
}

static BOOLEAN Hold(QUEUE *queue)
{
    return Holding && !queue->Cancelled;
}

static void Armed(QUEUE *queue)
{
    static BOOLEAN told;
    if (queue->Tx && !told)
        SAY("armed tx");
    told |= queue->Tx;      /* a queue may be asked for one notification more than once */
}

static PCSTR Layer2(NET_PACKET_LAYER2_TYPE type)
{
    return type == NetPacketLayer2TypeEthernet ? "ethernet" : type == NetPacketLayer2TypeNull ? "null" : type == NetPacketLayer2TypeIeee80211 ? "wifi" : "-";
}

static PCSTR Layer3(NET_PACKET_LAYER3_TYPE type)
{
    static PCSTR const names[] = { "-", "ipv4 ?", "ipv4 with options", "ipv4", "ipv6 ?", "ipv6 with extensions", "ipv6" };
    CHECK(NetPacketLayer3TypeIPv4WithOptions == 2 && NetPacketLayer3TypeIPv6NoExtensions == 6 && type <= NetPacketLayer3TypeIPv6NoExtensions);
    return names[type];
}

static PCSTR Layer4(NET_PACKET_LAYER4_TYPE type)
{
    switch (type) {
    case NetPacketLayer4TypeTcp:
        return "tcp";
    case NetPacketLayer4TypeUdp:
        return "udp";
    case NetPacketLayer4TypeIPFragment:
        return "fragment";
    case NetPacketLayer4TypeIPNotFragment:
        return "other";
    default:
        return "-";
    }
}

static void Sent(QUEUE *queue, UINT32 index, FRAME *frame)
{
    NET_PACKET const *packet = NetRingGetPacketAtIndex(NetRingCollectionGetPacketRing(queue->Rings), index);
    NET_PACKET_LAYOUT layout = packet->Layout;
    UNREFERENCED_PARAMETER(frame);
    SAY("%s %u, %s %u, %s %u%s%s", Layer2((NET_PACKET_LAYER2_TYPE)layout.Layer2Type), layout.Layer2HeaderLength,
        Layer3((NET_PACKET_LAYER3_TYPE)layout.Layer3Type), layout.Layer3HeaderLength,
        Layer4((NET_PACKET_LAYER4_TYPE)layout.Layer4Type), layout.Layer4HeaderLength,
        NetPacketIsIpv4(packet) ? " v4" : "", NetPacketIsIpv6(packet) ? " v6" : "");
}

/* Each of the link's enumerations in turn: duplex, pause, what was negotiated. */
static void ShowLink(ULONG which)
{
    static NET_IF_MEDIA_DUPLEX_STATE const duplex[] = { MediaDuplexStateUnknown, MediaDuplexStateHalf, MediaDuplexStateFull };
    static NET_ADAPTER_PAUSE_FUNCTION_TYPE const pause[] = { NetAdapterPauseFunctionTypeUnsupported, NetAdapterPauseFunctionTypeSendOnly, NetAdapterPauseFunctionTypeReceiveOnly, NetAdapterPauseFunctionTypeSendAndReceive, NetAdapterPauseFunctionTypeUnknown };
    NET_ADAPTER_AUTO_NEGOTIATION_FLAGS all = NetAdapterAutoNegotiationFlagXmitLinkSpeedAutoNegotiated | NetAdapterAutoNegotiationFlagRcvLinkSpeedautoNegotiated | NetAdapterAutoNegotiationFlagDuplexAutoNegotiated | NetAdapterAutoNegotiationFlagPauseFunctionsAutoNegotiated;
    NET_IF_MEDIA_CONNECT_STATE connected = which == 0 ? MediaConnectStateUnknown : MediaConnectStateConnected;
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_STATE_INIT(&state, which * 1000000ULL, connected, duplex[which % 3], pause[which % 5], which % 2 ? all : NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(Adapter, &state);
}

static void ChangeAddress(ULONG last)
{
    UCHAR const mac[6] = { 2, 0, 0, 0, 0x51, (UCHAR)last };
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof(mac), mac);
    NetAdapterSetCurrentLinkLayerAddress(Adapter, &address);
}

static void StopAndStart(void)
{
    NetAdapterStop(Adapter);
    CHECK(!TxQueues[0] && !RxQueues[0]);
    NetAdapterStop(Adapter);
    SAY("stopped");
    NTSTATUS status = NetAdapterStart(Adapter);
    CHECK(status == STATUS_SUCCESS && TxQueues[0] && RxQueues[0]);
    SAY("started late");
}

static void Do(ULONG number, ULONG argument)
{
    NET_ADAPTER_LINK_STATE down;
    switch (number) {
    case SetLink:
        ShowLink(argument);
        break;
    case SetMtu:
        NetAdapterSetLinkLayerMtuSize(Adapter, argument);
        break;
    case SetAddress:
        ChangeAddress(argument);
        break;
    case Restart:
        StopAndStart();
        break;
    case SayNumber:
        SAY("luid %llx", (unsigned long long)NetAdapterGetNetLuid(Adapter).Value);
        break;
    case SetHold:
        Holding = (BOOLEAN)argument;
        if (!argument)
            NetTxQueueNotifyMoreCompletedPacketsAvailable(TxQueues[0]);
        break;
    case Disconnect:
        NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED(&down);
        NetAdapterSetLinkState(Adapter, &down);
        break;
    }
}
