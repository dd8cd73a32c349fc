/*
 * Threads, locks and objects to wait for, as clients for the kernel use them.
 * The verdict is in DriverEntry; there is no driver.
 */
#include <ntddk.h>
#include <wdf.h>
#include <netadaptercx.h>

#define WORKERS 4
#define ROUNDS 1000

static KSEMAPHORE Ready;
static KMUTEX Mutex;
static FAST_MUTEX Fast;
static KGUARDED_MUTEX Guarded;
static ERESOURCE Resource;
static EX_PUSH_LOCK Push;
static KSPIN_LOCK Spin;
static ULONG Counts[6];
static ULONG Wrong;

static VOID Expect(BOOLEAN truth, PCSTR what)
{
    if (!truth) {
        DbgPrint("kernel: wrong: %s", what);
        Wrong++;
    }
}

/* Each count is guarded by another lock; a lock that does not lock loses some. */
static VOID Work(PVOID context)
{
    KLOCK_QUEUE_HANDLE queued;
    ULONG round;
    UNREFERENCED_PARAMETER(context);
    KeWaitForSingleObject(&Ready, Executive, KernelMode, FALSE, NULL);
    for (round = 0; round < ROUNDS; round++) {
        KeWaitForSingleObject(&Mutex, Executive, KernelMode, FALSE, NULL);
        Counts[0]++;
        KeReleaseMutex(&Mutex, FALSE);
        ExAcquireFastMutex(&Fast);
        Counts[1]++;
        ExReleaseFastMutex(&Fast);
        KeAcquireGuardedMutex(&Guarded);
        Counts[2]++;
        KeReleaseGuardedMutex(&Guarded);
        KeEnterCriticalRegion();
        ExAcquireResourceExclusiveLite(&Resource, TRUE);
        ExAcquireResourceSharedLite(&Resource, TRUE);
        Counts[3]++;
        ExReleaseResourceLite(&Resource);
        ExReleaseResourceLite(&Resource);
        ExAcquirePushLockExclusive(&Push);
        Counts[4]++;
        ExReleasePushLockExclusive(&Push);
        KeLeaveCriticalRegion();
        KeAcquireInStackQueuedSpinLock(&Spin, &queued);
        Counts[5]++;
        KeReleaseInStackQueuedSpinLock(&queued);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static PKTHREAD Start(void)
{
    OBJECT_ATTRIBUTES attributes;
    HANDLE handle;
    PKTHREAD thread = NULL;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    Expect(NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, Work, NULL)), "a thread");
    Expect(NT_SUCCESS(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID *)&thread, NULL)), "its object");
    ZwClose(handle);
    return thread;
}

static VOID Processors(void)
{
    PROCESSOR_NUMBER number;
    GROUP_AFFINITY affinity;
    ULONG count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    Expect(count >= 1 && KeGetCurrentProcessorNumberEx(&number) == number.Number, "a processor");
    Expect(KeGetProcessorNumberFromIndex(count, &number) == STATUS_INVALID_PARAMETER, "one too many");
    KeQueryNodeActiveAffinity(0, &affinity, NULL);
    Expect((affinity.Mask & 1) == 1 && affinity.Group == 0, "a node");
}

static ULONG Given;

static PVOID Give(POOL_TYPE type, SIZE_T bytes, ULONG tag, PLOOKASIDE_LIST_EX list)
{
    UNREFERENCED_PARAMETER(list);
    Given++;
    return ExAllocatePoolZero(type, bytes, tag);
}

static VOID TakeBack(PVOID memory, PLOOKASIDE_LIST_EX list)
{
    Given--;
    ExFreePoolWithTag(memory, list->Tag);
}

static VOID Lists(void)
{
    LOOKASIDE_LIST_EX own;
    NPAGED_LOOKASIDE_LIST plain;
    PUCHAR one, other;
    ExInitializeLookasideListEx(&own, Give, TakeBack, NonPagedPoolNx, 0, 64, 'tseT', 0);
    ExInitializeNPagedLookasideList(&plain, NULL, NULL, 0, 100, 'tseT', 0);
    one = ExAllocateFromLookasideListEx(&own);
    other = ExAllocateFromNPagedLookasideList(&plain);
    Expect(one && one[63] == 0 && Given == 1 && other && other != one, "blocks");
    RtlFillMemory(other, 100, 0xaa);
    ExFreeToLookasideListEx(&own, one);
    ExFreeToNPagedLookasideList(&plain, other);
    Expect(Given == 0, "a block given back");
    ExDeleteLookasideListEx(&own);
    ExDeleteNPagedLookasideList(&plain);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    PVOID threads[WORKERS];
    LARGE_INTEGER patience;
    ULONG index;
    UNREFERENCED_PARAMETER(driver);
    UNREFERENCED_PARAMETER(path);
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    KeInitializeSemaphore(&Ready, 0, WORKERS);
    KeInitializeMutex(&Mutex, 0);
    ExInitializeFastMutex(&Fast);
    KeInitializeGuardedMutex(&Guarded);
    ExInitializeResourceLite(&Resource);
    ExInitializePushLock(&Push);
    KeInitializeSpinLock(&Spin);
    for (index = 0; index < WORKERS; index++)
        threads[index] = Start();
    patience.QuadPart = -10 * 1000;     /* 1 ms */
    Expect(KeWaitForMultipleObjects(WORKERS, threads, WaitAny, Executive, KernelMode, FALSE, &patience, NULL) == STATUS_TIMEOUT, "patience");
    KeReleaseSemaphore(&Ready, 0, WORKERS, FALSE);
    patience.QuadPart = -10LL * 1000 * 1000 * 10;   /* 10 s */
    Expect(KeWaitForMultipleObjects(WORKERS, threads, WaitAll, Executive, KernelMode, FALSE, &patience, NULL) == STATUS_SUCCESS, "the end");
    for (index = 0; index < WORKERS; index++)
        ObDereferenceObject(threads[index]);
    for (index = 0; index < ARRAYSIZE(Counts); index++)
        Expect(Counts[index] == WORKERS * ROUNDS, "a count");
    Processors();
    Lists();
    DbgPrint("kernel: %u wrong", Wrong);
    return STATUS_CANCELLED;
}
