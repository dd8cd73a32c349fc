/*
 * How a client and its host find each other.
 *
 * A client exports DriverEntry and, from here, UmnetClient: which version it
 * was built for, the functions it may call, by name, and the table through
 * which it calls them. The host fills the table before DriverEntry, and
 * refuses a client that names a function it does not have. Every translation
 * unit of a client emits the same weak data; the linker keeps one copy.
 */
#ifndef UMNET_BIND_H
#define UMNET_BIND_H

#pragma GCC system_header

#include <stdio.h>
#include <stdlib.h>

#include "base.h"
#include "net_functions.h"
#include "runtime_functions.h"
#include "wdf_functions.h"

/* Which version of NetAdapterCx the client is written for. A project sets
 * these on the command line, as it does on Windows. */
#ifndef NETADAPTER_VERSION_MAJOR
#define NETADAPTER_VERSION_MAJOR 2
#endif
#ifndef NETADAPTER_VERSION_MINOR
#define NETADAPTER_VERSION_MINOR 5
#endif
#ifndef NET_MINIMUM_VERSION_REQUIRED
#define NET_MINIMUM_VERSION_REQUIRED NETADAPTER_VERSION_MINOR
#endif
#ifndef UMDF_VERSION_MAJOR
#define UMDF_VERSION_MAJOR 2
#endif
#ifndef UMDF_VERSION_MINOR
#define UMDF_VERSION_MINOR 33
#endif

/* Counts changes of this structure and of what passes through the table. */
#define UMNET_HEADER_REVISION 1

struct UMNET_CLIENT {
    ULONG Size;                         /* of this structure */
    ULONG HeaderRevision;
    ULONG NetMajor;
    ULONG NetMinor;
    ULONG NetMinimumRequired;
    ULONG UmdfMajor;
    ULONG UmdfMinor;
    ULONG FunctionCount;
    const char *const *FunctionNames;   /* FunctionCount of them */
    void **Functions;                   /* as many, filled by the host */
    void *Globals;                      /* set by the host: the hidden first
                                           argument of WDF and NET functions */
};

UMNET_EXTERN_C_BEGIN

#define UMNET_INDEX(result, name, parameters, arguments) name##TableIndex,
enum {
    UMNET_NET_FUNCTIONS(UMNET_INDEX)
    UMNET_WDF_FUNCTIONS(UMNET_INDEX)
    UMNET_RUNTIME_FUNCTIONS(UMNET_INDEX)
    UmnetFunctionCount
};
#undef UMNET_INDEX

#define UMNET_WEAK __attribute__((weak, visibility("hidden")))

extern const char *UmnetFunctionNames[UmnetFunctionCount];
extern void *UmnetFunctions[UmnetFunctionCount];
extern struct UMNET_CLIENT UmnetClient __attribute__((visibility("default")));

#define UMNET_NAME(result, name, parameters, arguments) #name,
UMNET_WEAK const char *UmnetFunctionNames[UmnetFunctionCount] = {
    UMNET_NET_FUNCTIONS(UMNET_NAME)
    UMNET_WDF_FUNCTIONS(UMNET_NAME)
    UMNET_RUNTIME_FUNCTIONS(UMNET_NAME)
};
#undef UMNET_NAME

/* Until the host has bound the client, every call ends here: a constructor
 * that runs while the library is loaded calls too early. */
UMNET_INLINE void UmnetUnbound(void)
{
    static const char text[] = "umnet: a client called an API function before DriverEntry, in a constructor\n";
    fwrite(text, 1, sizeof(text) - 1, stderr);
    abort();
}

#define UMNET_UNBOUND(result, name, parameters, arguments) (void *)UmnetUnbound,
UMNET_WEAK void *UmnetFunctions[UmnetFunctionCount] = {
    UMNET_NET_FUNCTIONS(UMNET_UNBOUND)
    UMNET_WDF_FUNCTIONS(UMNET_UNBOUND)
    UMNET_RUNTIME_FUNCTIONS(UMNET_UNBOUND)
};
#undef UMNET_UNBOUND

__attribute__((weak, visibility("default"))) struct UMNET_CLIENT UmnetClient = {
    sizeof(struct UMNET_CLIENT),
    UMNET_HEADER_REVISION,
    NETADAPTER_VERSION_MAJOR,
    NETADAPTER_VERSION_MINOR,
    NET_MINIMUM_VERSION_REQUIRED,
    UMDF_VERSION_MAJOR,
    UMDF_VERSION_MINOR,
    UmnetFunctionCount,
    UmnetFunctionNames,
    UmnetFunctions,
    0,
};

UMNET_EXTERN_C_END

/*
 * One wrapper for each line of a list: it looks like the function and calls
 * through the table. Those of WDF and NET pass the hidden argument.
 */
#define UMNET_HIDDEN(...) (void *UmnetGlobals __VA_OPT__(,) __VA_ARGS__)
#define UMNET_GIVEN(...) (UmnetClient.Globals __VA_OPT__(,) __VA_ARGS__)

#define UMNET_FRAMEWORK_WRAPPER(result, name, parameters, arguments) \
    typedef result (*UMNET_PFN_##name) UMNET_HIDDEN parameters; \
    UMNET_INLINE result name parameters \
    { \
        return ((UMNET_PFN_##name)UmnetFunctions[name##TableIndex]) UMNET_GIVEN arguments; \
    }

#define UMNET_RUNTIME_WRAPPER(result, name, parameters, arguments) \
    typedef result (*UMNET_PFN_##name) parameters; \
    UMNET_INLINE result name parameters \
    { \
        return ((UMNET_PFN_##name)UmnetFunctions[name##TableIndex]) arguments; \
    }

#endif
