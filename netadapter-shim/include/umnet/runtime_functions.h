/*
 * The Windows runtime functions that the host implements, once each: X(result,
 * name, parameters, arguments). What needs no host, such as the interlocked
 * operations, is inline in the headers and not here. These functions have no
 * hidden argument.
 */
#ifndef UMNET_RUNTIME_FUNCTIONS_H
#define UMNET_RUNTIME_FUNCTIONS_H

#define UMNET_RUNTIME_FUNCTIONS(X) \
    UMNET_TRACE_FUNCTIONS(X) \
    UMNET_WINDOWS_HANDLE_FUNCTIONS(X) \
    UMNET_WINDOWS_LOCK_FUNCTIONS(X) \
    UMNET_WINDOWS_CLOCK_FUNCTIONS(X) \
    UMNET_KERNEL_FUNCTIONS(X)

/* Not Windows' own names: where tracing and assertions end. Text is UTF-8; the
 * level is one of evntrace.h's. The second does not return. */
#define UMNET_TRACE_FUNCTIONS(X) \
    X(VOID, UmnetLog, (ULONG Level, PCSTR File, ULONG Line, PCSTR Function, PCSTR Text), (Level, File, Line, Function, Text)) \
    X(VOID, UmnetAssertionFailed, (PCSTR File, ULONG Line, PCSTR Expression, PCSTR Message), (File, Line, Expression, Message))

#define UMNET_WINDOWS_HANDLE_FUNCTIONS(X) \
    X(HANDLE, CreateThread, (LPSECURITY_ATTRIBUTES ThreadAttributes, SIZE_T StackSize, LPTHREAD_START_ROUTINE StartAddress, LPVOID Parameter, DWORD CreationFlags, LPDWORD ThreadId), (ThreadAttributes, StackSize, StartAddress, Parameter, CreationFlags, ThreadId)) \
    X(VOID, ExitThread, (DWORD ExitCode), (ExitCode)) \
    X(BOOL, GetExitCodeThread, (HANDLE Thread, LPDWORD ExitCode), (Thread, ExitCode)) \
    X(DWORD, ResumeThread, (HANDLE Thread), (Thread)) \
    X(HANDLE, GetCurrentThread, (), ()) \
    X(DWORD, GetCurrentThreadId, (), ()) \
    X(DWORD, GetCurrentProcessId, (), ()) \
    X(DWORD, GetCurrentProcessorNumber, (), ()) \
    X(BOOL, SetThreadPriority, (HANDLE Thread, int Priority), (Thread, Priority)) \
    X(int, GetThreadPriority, (HANDLE Thread), (Thread)) \
    X(BOOL, SetThreadGroupAffinity, (HANDLE Thread, const GROUP_AFFINITY *GroupAffinity, PGROUP_AFFINITY PreviousGroupAffinity), (Thread, GroupAffinity, PreviousGroupAffinity)) \
    X(BOOL, GetThreadGroupAffinity, (HANDLE Thread, PGROUP_AFFINITY GroupAffinity), (Thread, GroupAffinity)) \
    X(BOOL, SwitchToThread, (), ()) \
    X(VOID, Sleep, (DWORD Milliseconds), (Milliseconds)) \
    X(HANDLE, CreateEventW, (LPSECURITY_ATTRIBUTES EventAttributes, BOOL ManualReset, BOOL InitialState, LPCWSTR Name), (EventAttributes, ManualReset, InitialState, Name)) \
    X(BOOL, SetEvent, (HANDLE Event), (Event)) \
    X(BOOL, ResetEvent, (HANDLE Event), (Event)) \
    X(HANDLE, CreateMutexW, (LPSECURITY_ATTRIBUTES MutexAttributes, BOOL InitialOwner, LPCWSTR Name), (MutexAttributes, InitialOwner, Name)) \
    X(BOOL, ReleaseMutex, (HANDLE Mutex), (Mutex)) \
    X(HANDLE, CreateSemaphoreW, (LPSECURITY_ATTRIBUTES SemaphoreAttributes, LONG InitialCount, LONG MaximumCount, LPCWSTR Name), (SemaphoreAttributes, InitialCount, MaximumCount, Name)) \
    X(BOOL, ReleaseSemaphore, (HANDLE Semaphore, LONG ReleaseCount, LPLONG PreviousCount), (Semaphore, ReleaseCount, PreviousCount)) \
    X(DWORD, WaitForSingleObject, (HANDLE Handle, DWORD Milliseconds), (Handle, Milliseconds)) \
    X(DWORD, WaitForMultipleObjects, (DWORD Count, const HANDLE *Handles, BOOL WaitAll, DWORD Milliseconds), (Count, Handles, WaitAll, Milliseconds)) \
    X(BOOL, CloseHandle, (HANDLE Object), (Object)) \
    X(DWORD, GetLastError, (), ()) \
    X(VOID, SetLastError, (DWORD ErrorCode), (ErrorCode))

#define UMNET_WINDOWS_LOCK_FUNCTIONS(X) \
    X(VOID, InitializeSRWLock, (PSRWLOCK Lock), (Lock)) \
    X(VOID, AcquireSRWLockExclusive, (PSRWLOCK Lock), (Lock)) \
    X(VOID, ReleaseSRWLockExclusive, (PSRWLOCK Lock), (Lock)) \
    X(VOID, AcquireSRWLockShared, (PSRWLOCK Lock), (Lock)) \
    X(VOID, ReleaseSRWLockShared, (PSRWLOCK Lock), (Lock)) \
    X(BOOLEAN, TryAcquireSRWLockExclusive, (PSRWLOCK Lock), (Lock)) \
    X(BOOLEAN, TryAcquireSRWLockShared, (PSRWLOCK Lock), (Lock)) \
    X(VOID, InitializeConditionVariable, (PCONDITION_VARIABLE Variable), (Variable)) \
    X(BOOL, SleepConditionVariableSRW, (PCONDITION_VARIABLE Variable, PSRWLOCK Lock, DWORD Milliseconds, ULONG Flags), (Variable, Lock, Milliseconds, Flags)) \
    X(BOOL, SleepConditionVariableCS, (PCONDITION_VARIABLE Variable, LPCRITICAL_SECTION Section, DWORD Milliseconds), (Variable, Section, Milliseconds)) \
    X(VOID, WakeConditionVariable, (PCONDITION_VARIABLE Variable), (Variable)) \
    X(VOID, WakeAllConditionVariable, (PCONDITION_VARIABLE Variable), (Variable)) \
    X(VOID, InitializeCriticalSection, (LPCRITICAL_SECTION Section), (Section)) \
    X(VOID, DeleteCriticalSection, (LPCRITICAL_SECTION Section), (Section)) \
    X(VOID, EnterCriticalSection, (LPCRITICAL_SECTION Section), (Section)) \
    X(BOOL, TryEnterCriticalSection, (LPCRITICAL_SECTION Section), (Section)) \
    X(VOID, LeaveCriticalSection, (LPCRITICAL_SECTION Section), (Section))

#define UMNET_WINDOWS_CLOCK_FUNCTIONS(X) \
    X(DWORD, GetTickCount, (), ()) \
    X(ULONGLONG, GetTickCount64, (), ()) \
    X(BOOL, QueryPerformanceCounter, (LARGE_INTEGER *PerformanceCount), (PerformanceCount)) \
    X(BOOL, QueryPerformanceFrequency, (LARGE_INTEGER *Frequency), (Frequency)) \
    X(VOID, GetSystemTimeAsFileTime, (LPFILETIME SystemTimeAsFileTime), (SystemTimeAsFileTime)) \
    X(HANDLE, GetProcessHeap, (), ()) \
    X(LPVOID, HeapAlloc, (HANDLE Heap, DWORD Flags, SIZE_T Bytes), (Heap, Flags, Bytes)) \
    X(BOOL, HeapFree, (HANDLE Heap, DWORD Flags, LPVOID Memory), (Heap, Flags, Memory))

/* For sources written for the kernel: ntddk.h declares these. */
#define UMNET_KERNEL_FUNCTIONS(X) \
    X(PVOID, ExAllocatePool2, (POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag), (Flags, NumberOfBytes, Tag)) \
    X(VOID, ExFreePoolWithTag, (PVOID P, ULONG Tag), (P, Tag)) \
    X(VOID, KeInitializeEvent, (PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State), (Event, Type, State)) \
    X(LONG, KeSetEvent, (PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait), (Event, Increment, Wait)) \
    X(VOID, KeClearEvent, (PRKEVENT Event), (Event)) \
    X(LONG, KeResetEvent, (PRKEVENT Event), (Event)) \
    X(LONG, KeReadStateEvent, (PRKEVENT Event), (Event)) \
    X(NTSTATUS, KeWaitForSingleObject, (PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout), (Object, WaitReason, WaitMode, Alertable, Timeout)) \
    X(NTSTATUS, KeDelayExecutionThread, (KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval), (WaitMode, Alertable, Interval)) \
    X(VOID, KeStallExecutionProcessor, (ULONG MicroSeconds), (MicroSeconds)) \
    X(KIRQL, KeGetCurrentIrql, (), ()) \
    X(VOID, KeInitializeSpinLock, (PKSPIN_LOCK SpinLock), (SpinLock)) \
    X(VOID, KeAcquireSpinLock, (PKSPIN_LOCK SpinLock, PKIRQL OldIrql), (SpinLock, OldIrql)) \
    X(VOID, KeReleaseSpinLock, (PKSPIN_LOCK SpinLock, KIRQL NewIrql), (SpinLock, NewIrql)) \
    X(KIRQL, ExAcquireSpinLockExclusive, (PEX_SPIN_LOCK SpinLock), (SpinLock)) \
    X(VOID, ExReleaseSpinLockExclusive, (PEX_SPIN_LOCK SpinLock, KIRQL OldIrql), (SpinLock, OldIrql)) \
    X(KIRQL, ExAcquireSpinLockShared, (PEX_SPIN_LOCK SpinLock), (SpinLock)) \
    X(VOID, ExReleaseSpinLockShared, (PEX_SPIN_LOCK SpinLock, KIRQL OldIrql), (SpinLock, OldIrql)) \
    X(VOID, KeQuerySystemTimePrecise, (PLARGE_INTEGER CurrentTime), (CurrentTime)) \
    X(ULONGLONG, KeQueryInterruptTime, (), ()) \
    X(LARGE_INTEGER, KeQueryPerformanceCounter, (PLARGE_INTEGER PerformanceFrequency), (PerformanceFrequency)) \
    X(VOID, KeQueryTickCount, (PLARGE_INTEGER CurrentCount), (CurrentCount)) \
    X(ULONG, KeQueryTimeIncrement, (), ()) \
    X(NTSTATUS, PsCreateSystemThread, (PHANDLE ThreadHandle, ULONG DesiredAccess, PVOID ObjectAttributes, HANDLE ProcessHandle, PVOID ClientId, PKSTART_ROUTINE StartRoutine, PVOID StartContext), (ThreadHandle, DesiredAccess, ObjectAttributes, ProcessHandle, ClientId, StartRoutine, StartContext)) \
    X(NTSTATUS, PsTerminateSystemThread, (NTSTATUS ExitStatus), (ExitStatus)) \
    X(NTSTATUS, ZwClose, (HANDLE Handle), (Handle)) \
    X(VOID, KeInitializeMutex, (PRKMUTEX Mutex, ULONG Level), (Mutex, Level)) \
    X(LONG, KeReleaseMutex, (PRKMUTEX Mutex, BOOLEAN Wait), (Mutex, Wait)) \
    X(LONG, KeReadStateMutex, (PRKMUTEX Mutex), (Mutex)) \
    X(VOID, KeInitializeSemaphore, (PRKSEMAPHORE Semaphore, LONG Count, LONG Limit), (Semaphore, Count, Limit)) \
    X(LONG, KeReleaseSemaphore, (PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait), (Semaphore, Increment, Adjustment, Wait)) \
    X(LONG, KeReadStateSemaphore, (PRKSEMAPHORE Semaphore), (Semaphore)) \
    X(NTSTATUS, KeWaitForMultipleObjects, (ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout, PKWAIT_BLOCK WaitBlockArray), (Count, Object, WaitType, WaitReason, WaitMode, Alertable, Timeout, WaitBlockArray)) \
    X(PKTHREAD, KeGetCurrentThread, (), ()) \
    X(ULONG, KeQueryActiveProcessorCountEx, (USHORT GroupNumber), (GroupNumber)) \
    X(NTSTATUS, ObReferenceObjectByHandle, (HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode, PVOID *Object, POBJECT_HANDLE_INFORMATION HandleInformation), (Handle, DesiredAccess, ObjectType, AccessMode, Object, HandleInformation)) \
    X(LONG_PTR, ObfDereferenceObject, (PVOID Object), (Object))

#endif
