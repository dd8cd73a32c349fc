/*
 * TraceLogging: an event goes to the host's log by its name; its fields are
 * evaluated by nobody. Providers have names only.
 */
#ifndef UMNET_TRACELOGGINGPROVIDER_H
#define UMNET_TRACELOGGINGPROVIDER_H

#pragma GCC system_header

#include "umnet/trace.h"

typedef struct UmnetTraceProvider {
    const char *Name;
} const *TraceLoggingHProvider;

#define TRACELOGGING_DECLARE_PROVIDER(provider) \
    EXTERN_C const struct UmnetTraceProvider provider##_storage; \
    static __attribute__((unused)) TraceLoggingHProvider const provider = &provider##_storage
#define TRACELOGGING_DEFINE_PROVIDER(provider, name, guid, ...) \
    EXTERN_C __attribute__((weak, visibility("hidden"))) const struct UmnetTraceProvider provider##_storage; \
    __attribute__((weak, visibility("hidden"))) const struct UmnetTraceProvider provider##_storage = { name }
#define TraceLoggingRegister(provider) ((void)(provider), STATUS_SUCCESS)
#define TraceLoggingRegisterEx(provider, ...) ((void)(provider), STATUS_SUCCESS)
#define TraceLoggingUnregister(provider) ((void)(provider))
#define TraceLoggingProviderEnabled(provider, level, keyword) TRUE
#define TraceLoggingWrite(provider, name, ...) UMNET_TRACE(TRACE_LEVEL_INFORMATION, "%s", name)
#define TraceLoggingWriteActivity(provider, name, activity, related, ...) TraceLoggingWrite(provider, name)
#define WINEVENT_LEVEL_CRITICAL 1
#define WINEVENT_LEVEL_ERROR 2
#define WINEVENT_LEVEL_WARNING 3
#define WINEVENT_LEVEL_INFO 4
#define WINEVENT_LEVEL_VERBOSE 5

#endif
