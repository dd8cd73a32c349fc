/* Receive filters: says what it is told to receive. */
#define HAVE_STATE
#include "surface.h"

static EVT_NET_ADAPTER_SET_RECEIVE_FILTER SetReceiveFilter;
static void SetReceiveFilter(NETADAPTER adapter, NETRECEIVEFILTER filter)
{
    NET_PACKET_FILTER_FLAGS flags = NetReceiveFilterGetPacketFilter(filter);
    SIZE_T count = NetReceiveFilterGetMulticastAddressCount(filter);
    NET_ADAPTER_LINK_LAYER_ADDRESS const *list = NetReceiveFilterGetMulticastAddressList(filter);
    CHECK(adapter == Adapter);
    SAY("filter%s%s%s%s%s, %u addresses", flags & NetPacketFilterFlagDirected ? " directed" : "",
        flags & NetPacketFilterFlagMulticast ? " multicast" : "", flags & NetPacketFilterFlagAllMulticast ? " all-multicast" : "",
        flags & NetPacketFilterFlagBroadcast ? " broadcast" : "", flags & NetPacketFilterFlagPromiscuous ? " promiscuous" : "",
        (ULONG)count);
    for (SIZE_T i = 0; i < count; i++)
        SAY("%u bytes %02x:%02x:%02x:%02x:%02x:%02x", list[i].Length, list[i].Address[0], list[i].Address[1],
            list[i].Address[2], list[i].Address[3], list[i].Address[4], list[i].Address[5]);
}

static void State(WDFDEVICE device, NETADAPTER adapter)
{
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES filter;
    UNREFERENCED_PARAMETER(device);
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(&filter, SetReceiveFilter);
    filter.SupportedPacketFilters = NetPacketFilterFlagDirected | NetPacketFilterFlagMulticast | NetPacketFilterFlagBroadcast;
    if (!Configured(adapter, L"Few", 0))
        filter.SupportedPacketFilters |= NetPacketFilterFlagAllMulticast | NetPacketFilterFlagPromiscuous;
    filter.MaximumMulticastAddresses = 4;
    NetAdapterSetReceiveFilterCapabilities(adapter, &filter);
}
