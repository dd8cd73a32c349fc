/*
 * Locks of the kernel's that are not waited for by KeWaitForSingleObject:
 * push locks, fast and guarded mutexes, resources, queued spin locks. All of
 * them are slim locks of the host here.
 */
#ifndef UMNET_KERNEL_LOCKS_H
#define UMNET_KERNEL_LOCKS_H

#pragma GCC system_header

#include "nt.h"

UMNET_EXTERN_C_BEGIN

typedef VOID (*UMNET_LOCK_FUNCTION)(PVOID lock);
typedef BOOLEAN (*UMNET_TRY_LOCK_FUNCTION)(PVOID lock);
#define UMNET_LOCK(name, lock) (((UMNET_LOCK_FUNCTION)UmnetFunctions[name##TableIndex])(lock))
#define UMNET_TRY_LOCK(name, lock) (((UMNET_TRY_LOCK_FUNCTION)UmnetFunctions[name##TableIndex])(lock))

typedef ULONG_PTR EX_PUSH_LOCK, *PEX_PUSH_LOCK;
UMNET_INLINE VOID ExInitializePushLock(PEX_PUSH_LOCK lock) { *lock = 0; }
UMNET_INLINE VOID ExAcquirePushLockExclusive(PEX_PUSH_LOCK lock) { UMNET_LOCK(AcquireSRWLockExclusive, lock); }
UMNET_INLINE VOID ExReleasePushLockExclusive(PEX_PUSH_LOCK lock) { UMNET_LOCK(ReleaseSRWLockExclusive, lock); }
UMNET_INLINE VOID ExAcquirePushLockShared(PEX_PUSH_LOCK lock) { UMNET_LOCK(AcquireSRWLockShared, lock); }
UMNET_INLINE VOID ExReleasePushLockShared(PEX_PUSH_LOCK lock) { UMNET_LOCK(ReleaseSRWLockShared, lock); }

typedef struct _FAST_MUTEX {
    ULONG_PTR Lock;
    PKTHREAD Owner;
} FAST_MUTEX, *PFAST_MUTEX, KGUARDED_MUTEX, *PKGUARDED_MUTEX;

UMNET_INLINE VOID ExInitializeFastMutex(PFAST_MUTEX mutex)
{
    mutex->Lock = 0;
    mutex->Owner = 0;
}
UMNET_INLINE VOID ExAcquireFastMutex(PFAST_MUTEX mutex)
{
    UMNET_LOCK(AcquireSRWLockExclusive, &mutex->Lock);
    mutex->Owner = KeGetCurrentThread();
}
UMNET_INLINE BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX mutex)
{
    BOOLEAN taken = UMNET_TRY_LOCK(TryAcquireSRWLockExclusive, &mutex->Lock);
    if (taken)
        mutex->Owner = KeGetCurrentThread();
    return taken;
}
UMNET_INLINE VOID ExReleaseFastMutex(PFAST_MUTEX mutex)
{
    mutex->Owner = 0;
    UMNET_LOCK(ReleaseSRWLockExclusive, &mutex->Lock);
}
#define ExAcquireFastMutexUnsafe ExAcquireFastMutex
#define ExReleaseFastMutexUnsafe ExReleaseFastMutex
#define KeInitializeGuardedMutex ExInitializeFastMutex
#define KeAcquireGuardedMutex ExAcquireFastMutex
#define KeAcquireGuardedMutexUnsafe ExAcquireFastMutex
#define KeTryToAcquireGuardedMutex ExTryToAcquireFastMutex
#define KeReleaseGuardedMutex ExReleaseFastMutex
#define KeReleaseGuardedMutexUnsafe ExReleaseFastMutex

/* One thread may take it exclusively several times, and shared on top. */
typedef struct _ERESOURCE {
    ULONG_PTR Lock;
    PKTHREAD volatile Owner;
    ULONG Depth;
} ERESOURCE, *PERESOURCE;

UMNET_INLINE NTSTATUS ExInitializeResourceLite(PERESOURCE resource)
{
    memset(resource, 0, sizeof(*resource));
    return STATUS_SUCCESS;
}
UMNET_INLINE NTSTATUS ExDeleteResourceLite(PERESOURCE resource)
{
    (void)resource;
    return STATUS_SUCCESS;
}
UMNET_INLINE BOOLEAN ExIsResourceAcquiredExclusiveLite(PERESOURCE resource)
{
    return resource->Owner == KeGetCurrentThread();
}
UMNET_INLINE BOOLEAN ExAcquireResourceExclusiveLite(PERESOURCE resource, BOOLEAN wait)
{
    if (!ExIsResourceAcquiredExclusiveLite(resource)) {
        if (wait)
            UMNET_LOCK(AcquireSRWLockExclusive, &resource->Lock);
        else if (!UMNET_TRY_LOCK(TryAcquireSRWLockExclusive, &resource->Lock))
            return FALSE;
        resource->Owner = KeGetCurrentThread();
    }
    resource->Depth++;
    return TRUE;
}
UMNET_INLINE BOOLEAN ExAcquireResourceSharedLite(PERESOURCE resource, BOOLEAN wait)
{
    if (ExIsResourceAcquiredExclusiveLite(resource)) {
        resource->Depth++;
        return TRUE;
    }
    if (!wait)
        return UMNET_TRY_LOCK(TryAcquireSRWLockShared, &resource->Lock);
    UMNET_LOCK(AcquireSRWLockShared, &resource->Lock);
    return TRUE;
}
UMNET_INLINE VOID ExReleaseResourceLite(PERESOURCE resource)
{
    if (!ExIsResourceAcquiredExclusiveLite(resource)) {
        UMNET_LOCK(ReleaseSRWLockShared, &resource->Lock);
    } else if (--resource->Depth == 0) {
        resource->Owner = 0;
        UMNET_LOCK(ReleaseSRWLockExclusive, &resource->Lock);
    }
}

/* Who waits first is not served first here. */
typedef struct _KLOCK_QUEUE_HANDLE {
    PKSPIN_LOCK Lock;
    KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;
UMNET_INLINE VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle)
{
    handle->Lock = lock;
    KeAcquireSpinLock(lock, &handle->OldIrql);
}
UMNET_INLINE VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE handle)
{
    KeReleaseSpinLock(handle->Lock, handle->OldIrql);
}
#define KeAcquireInStackQueuedSpinLockAtDpcLevel KeAcquireInStackQueuedSpinLock
#define KeReleaseInStackQueuedSpinLockFromDpcLevel KeReleaseInStackQueuedSpinLock

UMNET_EXTERN_C_END

#endif
