/*
 * The longer forms of functions that win32.h has, initialisation that happens
 * once, and what a program asks about its machine.
 */
#ifndef UMNET_WIN32_MORE_H
#define UMNET_WIN32_MORE_H

#pragma GCC system_header

#include "win32.h"

#define CREATE_EVENT_MANUAL_RESET 0x1
#define CREATE_EVENT_INITIAL_SET 0x2
#define CREATE_MUTEX_INITIAL_OWNER 0x1
#define EVENT_ALL_ACCESS 0x1F0003
#define EVENT_MODIFY_STATE 0x2
#define MUTEX_ALL_ACCESS 0x1F0001
#define SEMAPHORE_ALL_ACCESS 0x1F0003
#define CRITICAL_SECTION_NO_DEBUG_INFO 0x01000000

UMNET_EXTERN_C_BEGIN

UMNET_INLINE BOOL InitializeCriticalSectionAndSpinCount(LPCRITICAL_SECTION section, DWORD spins)
{
    (void)spins;
    InitializeCriticalSection(section);
    return TRUE;
}
UMNET_INLINE BOOL InitializeCriticalSectionEx(LPCRITICAL_SECTION section, DWORD spins, DWORD flags)
{
    (void)flags;
    return InitializeCriticalSectionAndSpinCount(section, spins);
}

/* Nothing is queued to threads here, so that no wait is alerted. */
UMNET_INLINE DWORD WaitForSingleObjectEx(HANDLE handle, DWORD milliseconds, BOOL alertable)
{
    (void)alertable;
    return WaitForSingleObject(handle, milliseconds);
}
UMNET_INLINE DWORD WaitForMultipleObjectsEx(DWORD count, const HANDLE *handles, BOOL all, DWORD milliseconds, BOOL alertable)
{
    (void)alertable;
    return WaitForMultipleObjects(count, handles, all, milliseconds);
}
UMNET_INLINE DWORD SleepEx(DWORD milliseconds, BOOL alertable)
{
    (void)alertable;
    Sleep(milliseconds);
    return 0;
}

UMNET_INLINE HANDLE CreateEventExW(LPSECURITY_ATTRIBUTES attributes, LPCWSTR name, DWORD flags, DWORD access)
{
    (void)access;
    return CreateEventW(attributes, (flags & CREATE_EVENT_MANUAL_RESET) != 0, (flags & CREATE_EVENT_INITIAL_SET) != 0, name);
}
UMNET_INLINE HANDLE CreateMutexExW(LPSECURITY_ATTRIBUTES attributes, LPCWSTR name, DWORD flags, DWORD access)
{
    (void)access;
    return CreateMutexW(attributes, (flags & CREATE_MUTEX_INITIAL_OWNER) != 0, name);
}
UMNET_INLINE HANDLE CreateSemaphoreExW(LPSECURITY_ATTRIBUTES attributes, LONG count, LONG maximum, LPCWSTR name, DWORD flags, DWORD access)
{
    (void)flags;
    (void)access;
    return CreateSemaphoreW(attributes, count, maximum, name);
}

/* Zero, or under way, or the context with bit 1 set. */
typedef union _RTL_RUN_ONCE {
    PVOID Ptr;
} INIT_ONCE, *PINIT_ONCE, *LPINIT_ONCE;
#define INIT_ONCE_STATIC_INIT { 0 }
#define INIT_ONCE_CTX_RESERVED_BITS 2
typedef BOOL INIT_ONCE_FN(PINIT_ONCE once, PVOID parameter, PVOID *context);
typedef INIT_ONCE_FN *PINIT_ONCE_FN;

UMNET_INLINE VOID InitOnceInitialize(PINIT_ONCE once) { once->Ptr = 0; }

UMNET_INLINE BOOL InitOnceExecuteOnce(PINIT_ONCE once, PINIT_ONCE_FN initialize, PVOID parameter, PVOID *context)
{
    PVOID const under_way = (PVOID)(ULONG_PTR)1;
    for (;;) {
        PVOID seen = InterlockedCompareExchangePointer(&once->Ptr, under_way, 0);
        if (!seen) {
            PVOID made = 0;
            BOOL done = initialize(once, parameter, &made);
            InterlockedExchangePointer(&once->Ptr, done ? (PVOID)((ULONG_PTR)made | 2) : 0);
            if (done && context)
                *context = made;
            return done;
        }
        if (seen != under_way) {
            if (context)
                *context = (PVOID)((ULONG_PTR)seen & ~(ULONG_PTR)3);
            return TRUE;
        }
        Sleep(1);
    }
}

typedef struct _SYSTEM_INFO {
    union {
        DWORD dwOemId;
        struct {
            WORD wProcessorArchitecture;
            WORD wReserved;
        };
    };
    DWORD dwPageSize;
    LPVOID lpMinimumApplicationAddress;
    LPVOID lpMaximumApplicationAddress;
    DWORD_PTR dwActiveProcessorMask;
    DWORD dwNumberOfProcessors;
    DWORD dwProcessorType;
    DWORD dwAllocationGranularity;
    WORD wProcessorLevel;
    WORD wProcessorRevision;
} SYSTEM_INFO, *LPSYSTEM_INFO;

#ifndef ALL_PROCESSOR_GROUPS
#define ALL_PROCESSOR_GROUPS 0xffff
#endif
UMNET_INLINE DWORD GetActiveProcessorCount(WORD group)
{
    return ((ULONG (*)(USHORT))UmnetFunctions[KeQueryActiveProcessorCountExTableIndex])(group);
}
UMNET_INLINE VOID GetSystemInfo(LPSYSTEM_INFO info)
{
    memset(info, 0, sizeof(*info));
    info->dwPageSize = 0x1000;
    info->dwAllocationGranularity = 0x10000;
    info->dwNumberOfProcessors = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    info->dwActiveProcessorMask = info->dwNumberOfProcessors >= 64 ? ~(DWORD_PTR)0 : ((DWORD_PTR)1 << info->dwNumberOfProcessors) - 1;
#if defined(__x86_64__)
    info->wProcessorArchitecture = 9;
#else
    info->wProcessorArchitecture = 12;
#endif
}
#define GetNativeSystemInfo GetSystemInfo
UMNET_INLINE VOID GetSystemTimePreciseAsFileTime(LPFILETIME time) { GetSystemTimeAsFileTime(time); }
UMNET_INLINE HRESULT SetThreadDescription(HANDLE thread, PCWSTR text)
{
    (void)thread;
    (void)text;
    return 0;
}

UMNET_EXTERN_C_END

#define CreateEventEx CreateEventExW
#define CreateMutexEx CreateMutexExW
#define CreateSemaphoreEx CreateSemaphoreExW

#endif
