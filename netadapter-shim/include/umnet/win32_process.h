/*
 * What Windows' own libraries ask about the process they are in. There are no
 * modules to ask for and no debugger here; the answers say so.
 */
#ifndef UMNET_WIN32_PROCESS_H
#define UMNET_WIN32_PROCESS_H

#pragma GCC system_header

#include "trace.h"

#define WINAPI_FAMILY_DESKTOP_APP 100
#define WINAPI_FAMILY WINAPI_FAMILY_DESKTOP_APP
#define WINAPI_PARTITION_DESKTOP 1
#define WINAPI_PARTITION_APP 1
#define WINAPI_PARTITION_SYSTEM 1
#define WINAPI_PARTITION_GAMES 1
#define WINAPI_FAMILY_PARTITION(partition) (partition)

#define DLL_PROCESS_DETACH 0
#define DLL_PROCESS_ATTACH 1
#define DLL_THREAD_ATTACH 2
#define DLL_THREAD_DETACH 3

#define LANG_NEUTRAL 0
#define SUBLANG_NEUTRAL 0
#define SUBLANG_DEFAULT 1
#define MAKELANGID(primary, sub) ((((WORD)(sub)) << 10) | (WORD)(primary))
#define FORMAT_MESSAGE_ALLOCATE_BUFFER 0x100
#define FORMAT_MESSAGE_IGNORE_INSERTS 0x200
#define FORMAT_MESSAGE_FROM_SYSTEM 0x1000
#define GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT 2
#define GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS 4
#define EXCEPTION_NONCONTINUABLE 1
#define EXCEPTION_MAXIMUM_PARAMETERS 15
#define FAIL_FAST_GENERATE_EXCEPTION_ADDRESS 1

typedef struct _EXCEPTION_RECORD {
    DWORD ExceptionCode;
    DWORD ExceptionFlags;
    struct _EXCEPTION_RECORD *ExceptionRecord;
    PVOID ExceptionAddress;
    DWORD NumberParameters;
    ULONG_PTR ExceptionInformation[EXCEPTION_MAXIMUM_PARAMETERS];
} EXCEPTION_RECORD, *PEXCEPTION_RECORD;
typedef struct _CONTEXT CONTEXT, *PCONTEXT;
typedef struct _EXCEPTION_POINTERS {
    PEXCEPTION_RECORD ExceptionRecord;
    PCONTEXT ContextRecord;
} EXCEPTION_POINTERS, *PEXCEPTION_POINTERS;
#define EXCEPTION_EXECUTE_HANDLER 1
#define EXCEPTION_CONTINUE_SEARCH 0
#define FAST_FAIL_FATAL_APP_EXIT 7

UMNET_EXTERN_C_BEGIN

typedef INT_PTR (*FARPROC)(void);

UMNET_INLINE HMODULE GetModuleHandleW(LPCWSTR name) { (void)name; return 0; }
UMNET_INLINE BOOL GetModuleHandleExW(DWORD flags, LPCWSTR name, HMODULE *module) { (void)flags; (void)name; *module = 0; return FALSE; }
UMNET_INLINE DWORD GetModuleFileNameW(HMODULE module, LPWSTR name, DWORD size) { (void)module; if (size) name[0] = 0; return 0; }
UMNET_INLINE DWORD GetModuleFileNameA(HMODULE module, LPSTR name, DWORD size) { (void)module; if (size) name[0] = 0; return 0; }
UMNET_INLINE FARPROC GetProcAddress(HMODULE module, LPCSTR name) { (void)module; (void)name; return 0; }
UMNET_INLINE BOOL IsDebuggerPresent(void) { return FALSE; }
UMNET_INLINE VOID DebugBreak(void) { __builtin_trap(); }
UMNET_INLINE HANDLE GetCurrentProcess(void) { return (HANDLE)(LONG_PTR)-1; }
UMNET_INLINE DWORD FormatMessageW(DWORD flags, LPCVOID source, DWORD message, DWORD language, LPWSTR buffer, DWORD size, va_list *arguments)
{
    (void)flags; (void)source; (void)message; (void)language; (void)arguments;
    if (size)
        buffer[0] = 0;
    return 0;
}

UMNET_INLINE VOID OutputDebugStringA(LPCSTR text)
{
    UmnetTrace(TRACE_LEVEL_INFORMATION, "", 0, "", "%s", text);
}

UMNET_INLINE VOID OutputDebugStringW(LPCWSTR text)
{
    UmnetTrace(TRACE_LEVEL_INFORMATION, "", 0, "", "%ws", text);
}

/* Structured exceptions have no place to go: raising one ends the host. */
UMNET_INLINE VOID RaiseException(DWORD code, DWORD flags, DWORD count, const ULONG_PTR *arguments)
{
    (void)code; (void)flags; (void)count; (void)arguments;
    UmnetAssertionFailed("", 0, "RaiseException", "");
}

UMNET_INLINE VOID RaiseFailFastException(PEXCEPTION_RECORD record, PCONTEXT context, DWORD flags)
{
    (void)record; (void)context; (void)flags;
    UmnetAssertionFailed("", 0, "RaiseFailFastException", "");
}

#ifndef __MINGW32__
UMNET_INLINE int memcpy_s(void *to, size_t room, const void *from, size_t length)
{
    if (!length)
        return 0;
    if (!to || !from || length > room) {
        if (to)
            memset(to, 0, room);
        return 22;
    }
    memcpy(to, from, length);
    return 0;
}

UMNET_INLINE int memmove_s(void *to, size_t room, const void *from, size_t length)
{
    if (length && (!to || !from || length > room))
        return 22;
    if (length)
        memmove(to, from, length);
    return 0;
}
#endif

UMNET_EXTERN_C_END

#define GetModuleHandle GetModuleHandleW
#define GetModuleFileName GetModuleFileNameW
#define OutputDebugString OutputDebugStringW

#endif
