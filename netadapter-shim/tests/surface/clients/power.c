/* Power and wake: offers all of it, and says what it finds in its transitions. */
#define HAVE_INIT
#define HAVE_STATE
#define HAVE_POWER_UP
#define HAVE_POWER_DOWN
#include "surface.h"

static EVT_NET_DEVICE_COLLECT_RESET_DIAGNOSTICS CollectDiagnostics;
static void CollectDiagnostics(WDFDEVICE device)
{
    UNREFERENCED_PARAMETER(device);
    SAY("collecting");
}

static PCSTR Offload(NETPOWEROFFLOAD offload)
{
    NET_POWER_OFFLOAD_TYPE type = NetPowerOffloadGetType(offload);
    CHECK(NetPowerOffloadGetAdapter(offload) == Adapter);
    return type == NetPowerOffloadTypeArp ? "arp" : type == NetPowerOffloadTypeNS ? "ns" : "?";
}

static PCSTR Source(NETWAKESOURCE source)
{
    CHECK(NetWakeSourceGetAdapter(source) == Adapter);
    switch (NetWakeSourceGetType(source)) {
    case NetWakeSourceTypeBitmapPattern:
        return "pattern";
    case NetWakeSourceTypeMagicPacket:
        return "magic";
    case NetWakeSourceTypeMediaChange:
        return "media";
    case NetWakeSourceTypePacketFilterMatch:
        return "filter";
    case NetWakeSourceTypeEapolPacket:
        return "eapol";
    }
    return "?";
}

static EVT_NET_DEVICE_PREVIEW_WAKE_SOURCE PreviewPattern;
static NTSTATUS PreviewPattern(WDFDEVICE device, NETWAKESOURCE source)
{
    NET_WAKE_SOURCE_BITMAP_PARAMETERS parameters;
    CHECK(device == Device);
    NET_WAKE_SOURCE_BITMAP_PARAMETERS_INIT(&parameters);
    NetWakeSourceGetBitmapParameters(source, &parameters);
    SAY("preview %s of %u bytes", Source(source), (ULONG)parameters.PatternSize);
    return parameters.Pattern[0] == 0xee ? STATUS_DEVICE_NOT_READY : STATUS_SUCCESS;
}

static EVT_NET_DEVICE_PREVIEW_POWER_OFFLOAD PreviewArp;
static NTSTATUS PreviewArp(WDFDEVICE device, NETPOWEROFFLOAD offload)
{
    CHECK(device == Device);
    SAY("preview %s", Offload(offload));
    return STATUS_SUCCESS;
}

static EVT_NET_DEVICE_PREVIEW_POWER_OFFLOAD PreviewNS;
static NTSTATUS PreviewNS(WDFDEVICE device, NETPOWEROFFLOAD offload)
{
    NET_POWER_OFFLOAD_NS_PARAMETERS parameters;
    CHECK(device == Device);
    NET_POWER_OFFLOAD_NS_PARAMETERS_INIT(&parameters);
    NetPowerOffloadGetNSParameters(offload, &parameters);
    SAY("preview %s", Offload(offload));
    return parameters.TargetIPv6Addresses[0].Value[15] == 0xee ? STATUS_DEVICE_NOT_READY : STATUS_SUCCESS;
}

static void Init(PWDFDEVICE_INIT init)
{
    NET_DEVICE_POWER_POLICY_EVENT_CALLBACKS previews;
    NET_DEVICE_RESET_CAPABILITIES reset;
    GUID guid = { 1, 2, 3, { 4, 5, 6, 7, 8, 9, 10, 11 } };
    NET_DEVICE_POWER_POLICY_EVENT_CALLBACKS_INIT(&previews);
    previews.EvtDevicePreviewBitmapPattern = PreviewPattern;
    previews.EvtDevicePreviewArpOffload = PreviewArp;
    previews.EvtDevicePreviewNSOffload = PreviewNS;
    NetDeviceInitSetPowerPolicyEventCallbacks(init, &previews);
    NET_DEVICE_RESET_CAPABILITIES_INIT(&reset, guid, CollectDiagnostics);
    NetDeviceInitSetResetCapabilities(init, &reset);
    NetDeviceInitSetResetConfig(init, &reset);
}

static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES arp;
    NET_ADAPTER_POWER_OFFLOAD_NS_CAPABILITIES ns;
    NET_ADAPTER_WAKE_BITMAP_CAPABILITIES pattern;
    NET_ADAPTER_WAKE_MEDIA_CHANGE_CAPABILITIES media;
    NET_ADAPTER_WAKE_MAGIC_PACKET_CAPABILITIES magic;
    NET_ADAPTER_WAKE_EAPOL_PACKET_CAPABILITIES eapol;
    NET_ADAPTER_WAKE_PACKET_FILTER_CAPABILITIES filter;
    UNREFERENCED_PARAMETER(device);
    if (Configured(adapter, L"None", 0))
        return;
    NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES_INIT(&arp, 1);
    arp.ArpOffload = TRUE;
    NetAdapterPowerOffloadSetArpCapabilities(adapter, &arp);
    NET_ADAPTER_POWER_OFFLOAD_NS_CAPABILITIES_INIT(&ns, 2);
    ns.NSOffload = TRUE;
    NetAdapterPowerOffloadSetNSCapabilities(adapter, &ns);
    NET_ADAPTER_WAKE_BITMAP_CAPABILITIES_INIT(&pattern);
    pattern.BitmapPattern = TRUE;
    pattern.MaximumPatternCount = 2;
    pattern.MaximumPatternSize = 64;
    NetAdapterWakeSetBitmapCapabilities(adapter, &pattern);
    NET_ADAPTER_WAKE_MEDIA_CHANGE_CAPABILITIES_INIT(&media);
    media.MediaConnect = TRUE;
    NetAdapterWakeSetMediaChangeCapabilities(adapter, &media);
    NET_ADAPTER_WAKE_MAGIC_PACKET_CAPABILITIES_INIT(&magic);
    magic.MagicPacket = TRUE;
    NetAdapterWakeSetMagicPacketCapabilities(adapter, &magic);
    NET_ADAPTER_WAKE_EAPOL_PACKET_CAPABILITIES_INIT(&eapol);
    eapol.EapolPacket = TRUE;
    NetAdapterWakeSetEapolPacketCapabilities(adapter, &eapol);
    NET_ADAPTER_WAKE_PACKET_FILTER_CAPABILITIES_INIT(&filter);
    filter.PacketFilterMatch = TRUE;
    NetAdapterWakeSetPacketFilterCapabilities(adapter, &filter);
}

static void SayOffload(NETPOWEROFFLOAD offload)
{
    NET_POWER_OFFLOAD_ARP_PARAMETERS arp;
    NET_POWER_OFFLOAD_NS_PARAMETERS ns;
    if (NetPowerOffloadGetType(offload) == NetPowerOffloadTypeArp) {
        NET_POWER_OFFLOAD_ARP_PARAMETERS_INIT(&arp);
        NetPowerOffloadGetArpParameters(offload, &arp);
        SAY("%s %u: %u asks for %u, %u bytes ..%02x", Offload(offload), arp.Id, arp.RemoteIPv4Address.Value[3], arp.HostIPv4Address.Value[3], arp.LinkLayerAddress.Length, arp.LinkLayerAddress.Address[5]);
        return;
    }
    NET_POWER_OFFLOAD_NS_PARAMETERS_INIT(&ns);
    NetPowerOffloadGetNSParameters(offload, &ns);
    SAY("%s %u: %u asks %u for %u %u, ..%02x", Offload(offload), ns.Id, ns.RemoteIPv6Address.Value[15], ns.SolicitedNodeIPv6Address.Value[15], ns.TargetIPv6Addresses[0].Value[15], ns.TargetIPv6Addresses[1].Value[15], ns.LinkLayerAddress.Address[5]);
}

static void SaySource(NETWAKESOURCE source)
{
    NET_WAKE_SOURCE_BITMAP_PARAMETERS pattern;
    NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS media;
    switch (NetWakeSourceGetType(source)) {
    case NetWakeSourceTypeBitmapPattern:
        NET_WAKE_SOURCE_BITMAP_PARAMETERS_INIT(&pattern);
        NetWakeSourceGetBitmapParameters(source, &pattern);
        SAY("%s %u: mask %u %02x, %u bytes %02x..%02x", Source(source), pattern.Id, (ULONG)pattern.MaskSize, pattern.Mask[0], (ULONG)pattern.PatternSize, pattern.Pattern[0], pattern.Pattern[pattern.PatternSize - 1]);
        break;
    case NetWakeSourceTypeMediaChange:
        NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS_INIT(&media);
        NetWakeSourceGetMediaChangeParameters(source, &media);
        SAY("%s connect %u disconnect %u", Source(source), media.MediaConnect, media.MediaDisconnect);
        break;
    default:
        SAY("%s", Source(source));
    }
}

static void SayLists(WDFDEVICE device)
{
    NET_POWER_OFFLOAD_LIST offloads;
    NET_WAKE_SOURCE_LIST sources;
    NET_POWER_OFFLOAD_LIST_INIT(&offloads);
    NetDeviceGetPowerOffloadList(device, &offloads);
    NET_WAKE_SOURCE_LIST_INIT(&sources);
    NetDeviceGetWakeSourceList(device, &sources);
    SAY("%u offloads, %u wake sources", (ULONG)NetPowerOffloadListGetCount(&offloads), (ULONG)NetWakeSourceListGetCount(&sources));
    for (SIZE_T i = 0; i < NetPowerOffloadListGetCount(&offloads); i++)
        SayOffload(NetPowerOffloadListGetElement(&offloads, i));
    for (SIZE_T i = 0; i < NetWakeSourceListGetCount(&sources); i++)
        SaySource(NetWakeSourceListGetElement(&sources, i));
}

static void PowerDown(WDFDEVICE device)
{
    SAY("power down");
    SayLists(device);
}

static BOOLEAN WasUp;

/* Woken by a packet the first time, by the link the second. */
static void PowerUp(WDFDEVICE device)
{
    static ULONG times;
    NET_ADAPTER_WAKE_REASON_PACKET reason;
    if (!WasUp) {
        WasUp = TRUE;
        return;
    }
    SAY("power up");
    SayLists(device);
    if (times++ == 0) {
        NET_ADAPTER_WAKE_REASON_MAGIC_PACKET_INIT(&reason);
        reason.OriginalPacketSize = 102;
        NetAdapterReportWakeReasonPacket(Adapter, &reason);
    } else {
        NetAdapterReportWakeReasonMediaChange(Adapter, MediaConnectStateConnected);
    }
}
