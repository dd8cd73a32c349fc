/*
 * The wire example without some of its offloads, so that the framework, or the
 * stack, has to do in software what is missing. By macro: NO_TX_CHECKSUM,
 * NO_GSO, NO_RSC; GSO_WITHOUT_OPTIONS takes only TCP segments that hardly occur.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>

#ifdef NO_TX_CHECKSUM
#define NetAdapterOffloadSetTxChecksumCapabilities(adapter, capabilities) ((void)(capabilities))
#endif
#ifdef NO_GSO
#define NetAdapterOffloadSetGsoCapabilities(adapter, capabilities) ((void)(capabilities))
#endif
#ifdef NO_RSC
#define NetAdapterOffloadSetRscCapabilities(adapter, capabilities) ((void)(capabilities))
#endif
#ifdef GSO_WITHOUT_OPTIONS
static void WithoutOptions(NETADAPTER adapter, NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES *capabilities)
{
    capabilities->Layer3Flags = NetAdapterOffloadLayer3FlagIPv4NoOptions | NetAdapterOffloadLayer3FlagIPv6NoExtensions;
    capabilities->Layer4Flags = NetAdapterOffloadLayer4FlagTcpNoOptions;
    NetAdapterOffloadSetGsoCapabilities(adapter, capabilities);
}
#define NetAdapterOffloadSetGsoCapabilities(adapter, capabilities) WithoutOptions(adapter, capabilities)
#endif

#include "../../netadapter-shim/examples/wire.cpp"
