/*
 * NetAdapterCx for user mode: adapters, packet queues, offloads,
 * configuration. Types first, then a wrapper for each function.
 *
 * What the kernel alone has (DMA, driver-managed buffers) is declared, so that
 * sources compile, and refused at run time.
 */
#ifndef NETADAPTERCX_H
#define NETADAPTERCX_H

#pragma GCC system_header

#include "umnet/net_types.h"

UMNET_EXTERN_C_BEGIN

UMNET_NET_FUNCTIONS(UMNET_FRAMEWORK_WRAPPER)

UMNET_EXTERN_C_END

#define NetDeviceInitSetResetConfig NetDeviceInitSetResetCapabilities

/* What the host offers, asked at run time. Structures are known by their size
 * in the client's version, so each is there with all its fields. */
#define NET_IS_FUNCTION_AVAILABLE(name) (UmnetFunctions[name##TableIndex] != (void *)UmnetUnbound)
#define NET_IS_STRUCTURE_AVAILABLE(name) (sizeof(name) != 0)
#define NET_IS_FIELD_AVAILABLE(name, field) (UFIELD_OFFSET(name, field) < NET_STRUCTURE_SIZE(name))
#define NET_STRUCTURE_SIZE(name) sizeof(name)

#endif
