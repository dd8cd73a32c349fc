/*
 * What kernel-mode clients take from ntddk.h and wdm.h, in user mode: the code
 * that needs no kernel of its own compiles and runs here. Interrupt levels are
 * numbers nobody raises; pageable code is code.
 */
#ifndef UMNET_NTDDK_H
#define UMNET_NTDDK_H

#pragma GCC system_header

#include "umnet/mdl.h"
#include "umnet/nt.h"
#include "umnet/registers.h"

#define PAGED_CODE() ((void)0)
#define PAGED_CODE_LOCKED() ((void)0)
#define ASSERT(condition) NT_ASSERT(condition)
#define ASSERTMSG(message, condition) NT_ASSERTMSG(message, condition)
#define KeMemoryBarrier() MemoryBarrier()
#define KeMemoryBarrierWithoutFence() _ReadWriteBarrier()
#define KeBugCheck(code) UmnetAssertionFailed(__FILE__, __LINE__, "KeBugCheck(" #code ")", "")
#define KeBugCheckEx(code, a, b, c, d) UmnetAssertionFailed(__FILE__, __LINE__, "KeBugCheckEx(" #code ")", "")

typedef enum _KWAIT_REASON {
    Executive = 0,
    FreePage,
    PageIn,
    PoolAllocation,
    DelayExecution,
    Suspended,
    UserRequest
} KWAIT_REASON;

typedef enum _EVENT_TYPE { NotificationEvent = 0, SynchronizationEvent = 1 } EVENT_TYPE;

/* The host keeps its own state in these. Zeros are not initialised. */
typedef struct _KEVENT {
    ULONG_PTR Reserved[3];
} KEVENT, *PKEVENT, *PRKEVENT;

typedef struct _KMUTANT {
    ULONG_PTR Reserved[3];
} KMUTANT, *PKMUTANT, *PRKMUTANT, KMUTEX, *PKMUTEX, *PRKMUTEX;
typedef struct _KSEMAPHORE {
    ULONG_PTR Reserved[3];
} KSEMAPHORE, *PKSEMAPHORE, *PRKSEMAPHORE;
typedef enum _WAIT_TYPE { WaitAll = 0, WaitAny = 1 } WAIT_TYPE;
typedef struct _KWAIT_BLOCK {
    PVOID Reserved[6];
} KWAIT_BLOCK, *PKWAIT_BLOCK;
#define THREAD_WAIT_OBJECTS 3

/* Threads are the only objects that handles stand for. */
typedef struct _KTHREAD *PKTHREAD, *PRKTHREAD, *PETHREAD;
typedef struct _OBJECT_TYPE *POBJECT_TYPE;
typedef struct _OBJECT_HANDLE_INFORMATION {
    ULONG HandleAttributes;
    ACCESS_MASK GrantedAccess;
} OBJECT_HANDLE_INFORMATION, *POBJECT_HANDLE_INFORMATION;
#define THREAD_ALL_ACCESS 0x001FFFFF
#define SYNCHRONIZE 0x00100000
#define LOW_PRIORITY 0
#define LOW_REALTIME_PRIORITY 16
#define HIGH_PRIORITY 31
#define MAXIMUM_PRIORITY 32

typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;
typedef LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;

#define STATUS_CONTINUE_COMPLETION STATUS_SUCCESS

/* Says what the pool's default is; here all memory is the same. */
#define POOL_NX_OPTIN 1
#define DrvRtPoolNxOptIn 0x00000001
#define ExInitializeDriverRuntime(flags) ((void)(flags))

typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_REQUIRED_START 0x0000000000000001ULL
#define POOL_FLAG_USE_QUOTA 0x0000000000000001ULL
#define POOL_FLAG_UNINITIALIZED 0x0000000000000002ULL
#define POOL_FLAG_SESSION 0x0000000000000004ULL
#define POOL_FLAG_CACHE_ALIGNED 0x0000000000000008ULL
#define POOL_FLAG_RAISE_ON_FAILURE 0x0000000000000020ULL
#define POOL_FLAG_NON_PAGED 0x0000000000000040ULL
#define POOL_FLAG_NON_PAGED_EXECUTE 0x0000000000000080ULL
#define POOL_FLAG_PAGED 0x0000000000000100ULL

typedef VOID KSTART_ROUTINE(PVOID StartContext);
typedef KSTART_ROUTINE *PKSTART_ROUTINE;

UMNET_EXTERN_C_BEGIN

UMNET_KERNEL_FUNCTIONS(UMNET_RUNTIME_WRAPPER)

#define ExFreePool(memory) ExFreePoolWithTag(memory, 0)
UMNET_INLINE PVOID ExAllocatePoolWithTag(POOL_TYPE type, SIZE_T bytes, ULONG tag)
{
    (void)type;
    return ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, bytes, tag);
}
UMNET_INLINE PVOID ExAllocatePoolZero(POOL_TYPE type, SIZE_T bytes, ULONG tag)
{
    (void)type;
    return ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, tag);
}

#define KeAcquireSpinLockAtDpcLevel(lock) do { KIRQL umnetIrql; KeAcquireSpinLock(lock, &umnetIrql); } while (0)
#define KeReleaseSpinLockFromDpcLevel(lock) KeReleaseSpinLock(lock, DISPATCH_LEVEL)
#define KeRaiseIrql(level, old) ((void)(*(old) = KeGetCurrentIrql()))
#define KeLowerIrql(level) ((void)(level))
UMNET_INLINE VOID KeQuerySystemTime(PLARGE_INTEGER time) { KeQuerySystemTimePrecise(time); }
UMNET_INLINE VOID KeEnterCriticalRegion(void) {}
UMNET_INLINE VOID KeLeaveCriticalRegion(void) {}
UMNET_INLINE VOID KeFlushQueuedDpcs(void) {}

/* Lists under a spin lock. */
UMNET_INLINE PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock)
{
    KIRQL irql;
    PLIST_ENTRY before;
    KeAcquireSpinLock(lock, &irql);
    before = IsListEmpty(head) ? 0 : head->Blink;
    InsertTailList(head, entry);
    KeReleaseSpinLock(lock, irql);
    return before;
}

UMNET_INLINE PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock)
{
    KIRQL irql;
    PLIST_ENTRY before;
    KeAcquireSpinLock(lock, &irql);
    before = IsListEmpty(head) ? 0 : head->Flink;
    InsertHeadList(head, entry);
    KeReleaseSpinLock(lock, irql);
    return before;
}

UMNET_INLINE PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY head, PKSPIN_LOCK lock)
{
    KIRQL irql;
    PLIST_ENTRY entry;
    KeAcquireSpinLock(lock, &irql);
    entry = IsListEmpty(head) ? 0 : RemoveHeadList(head);
    KeReleaseSpinLock(lock, irql);
    return entry;
}

/* There is no system event log: allocation fails, as it may on Windows. */
typedef struct _IO_ERROR_LOG_PACKET {
    UCHAR MajorFunctionCode;
    UCHAR RetryCount;
    USHORT DumpDataSize;
    USHORT NumberOfStrings;
    USHORT StringOffset;
    USHORT EventCategory;
    NTSTATUS ErrorCode;
    ULONG UniqueErrorValue;
    NTSTATUS FinalStatus;
    ULONG SequenceNumber;
    ULONG IoControlCode;
    LARGE_INTEGER DeviceOffset;
    ULONG DumpData[1];
} IO_ERROR_LOG_PACKET, *PIO_ERROR_LOG_PACKET;
#define ERROR_LOG_MAXIMUM_SIZE 240
UMNET_INLINE PVOID IoAllocateErrorLogEntry(PVOID object, UCHAR size) { (void)object; (void)size; return 0; }
UMNET_INLINE VOID IoWriteErrorLogEntry(PVOID entry) { (void)entry; }

UMNET_EXTERN_C_END

#include "umnet/kernel_locks.h"
#include "umnet/kernel_threads.h"
#include "umnet/lookaside.h"
#include "ntddndis.h"
#include "xfilter.h"

#define SDDL_DEVOBJ_SYS_ALL_ADM_ALL UmnetSddlAdministrators
#define SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RW_RES_R UmnetSddlWorld
DECLARE_CONST_UNICODE_STRING(UmnetSddlAdministrators, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
DECLARE_CONST_UNICODE_STRING(UmnetSddlWorld, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGW;;;WD)(A;;GR;;;RC)");

#endif
