/*
 * Tracing and assertions. Text is formatted here by the rules of Windows'
 * printf (long has 32 bits, %S and %ws are 16-bit text, %wZ a counted string,
 * %!STATUS! a status) and handed to the host, which writes it to its log.
 */
#ifndef UMNET_TRACE_H
#define UMNET_TRACE_H

#pragma GCC system_header

#include "bind.h"
#include "format.h"

/* Levels, as evntrace.h numbers them. */
#ifndef TRACE_LEVEL_NONE
#define TRACE_LEVEL_NONE 0
#define TRACE_LEVEL_CRITICAL 1
#define TRACE_LEVEL_FATAL 1
#define TRACE_LEVEL_ERROR 2
#define TRACE_LEVEL_WARNING 3
#define TRACE_LEVEL_INFORMATION 4
#define TRACE_LEVEL_VERBOSE 5
#define TRACE_LEVEL_RESERVED6 6
#define TRACE_LEVEL_RESERVED7 7
#endif

UMNET_EXTERN_C_BEGIN

UMNET_TRACE_FUNCTIONS(UMNET_RUNTIME_WRAPPER)

UMNET_INLINE VOID UmnetTrace(ULONG level, PCSTR file, ULONG line, PCSTR function, PCSTR format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    UmnetFormat(text, sizeof(text), function, format, arguments);
    va_end(arguments);
    UmnetLog(level, file, line, function, text);
}

UMNET_INLINE VOID UmnetTraceWide(ULONG level, PCSTR file, ULONG line, PCSTR function, PCWSTR format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    UmnetFormatWide(text, sizeof(text), function, format, arguments);
    va_end(arguments);
    UmnetLog(level, file, line, function, text);
}

UMNET_EXTERN_C_END

/* The format may be narrow or wide: its type chooses. */
#ifdef __cplusplus
extern "C++" {
inline __attribute__((visibility("hidden"))) auto UmnetTracer(const char *) { return UmnetTrace; }
inline __attribute__((visibility("hidden"))) auto UmnetTracer(const wchar_t *) { return UmnetTraceWide; }
}
#define UMNET_TRACER(format) UmnetTracer(format)
#else
#define UMNET_TRACER(format) \
    _Generic((format), wchar_t *: UmnetTraceWide, const wchar_t *: UmnetTraceWide, default: UmnetTrace)
#endif
#define UMNET_FIRST(first, ...) first
#define UMNET_TRACE(level, ...) \
    UMNET_TRACER(UMNET_FIRST(__VA_ARGS__, 0))((ULONG)(level), __FILE__, __LINE__, __func__, __VA_ARGS__)

/* Debug output. */
#define DPFLTR_IHVNETWORK_ID 81
#define DPFLTR_IHVDRIVER_ID 77
#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3
#define DPFLTR_MASK 0x80000000
#define DbgPrint(...) UMNET_TRACE(TRACE_LEVEL_INFORMATION, __VA_ARGS__)
#define DbgPrintEx(component, level, ...) UMNET_TRACE((level) + TRACE_LEVEL_ERROR, __VA_ARGS__)
#define KdPrint(arguments) DbgPrint arguments
#define KdPrintEx(arguments) DbgPrintEx arguments
#define DbgBreakPoint() UmnetAssertionFailed(__FILE__, __LINE__, "DbgBreakPoint", "")

/* Assertions: the plain ones are for debug builds, _FRE_ ones always there,
 * NT_VERIFY always evaluates. A failed one ends the host with one line. */
#define UMNET_CHECK(condition, text, message) \
    ((condition) ? (void)0 : UmnetAssertionFailed(__FILE__, __LINE__, text, message))
#define NT_FRE_ASSERT(condition) UMNET_CHECK(condition, #condition, "")
#define NT_FRE_ASSERTMSG(message, condition) UMNET_CHECK(condition, #condition, message)
#define NT_FRE_ASSERTMSGW(message, condition) UMNET_CHECK(condition, #condition, "")
#if defined(DBG) && DBG
#define NT_ASSERT(condition) NT_FRE_ASSERT(condition)
#define NT_ASSERTMSG(message, condition) NT_FRE_ASSERTMSG(message, condition)
#define NT_VERIFY(condition) NT_FRE_ASSERT(condition)
#else
#define NT_ASSERT(condition) ((void)0)
#define NT_ASSERTMSG(message, condition) ((void)0)
#define NT_VERIFY(condition) ((void)(condition))
#endif
#define NT_ASSERTMSGW(message, condition) NT_ASSERT(condition)
#define NT_VERIFYMSG(message, condition) NT_VERIFY(condition)
#define NT_ANALYSIS_ASSUME(condition) ((void)0)
#define NT_ASSERT_ACTION(condition) NT_ASSERT(condition)
#define NT_ASSUME(condition) ((void)0)

/*
 * WPP: `umnet client-flags` with the sources' directories writes the .tmh
 * files, which make macros of a source's own trace functions; these are the
 * names they and the sources rely on.
 */
#define WPP_INIT_TRACING(...) ((void)0)
#define WPP_CLEANUP(...) ((void)0)
#define WPP_RECORDER_INITIALIZE(...) ((void)0)

#endif
