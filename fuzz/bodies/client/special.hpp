/* Calls whose arguments belong together, or that could wait for ever and be right to. */
#pragma once

#include <cwchar>

#include "arguments.hpp"

template <auto Function> struct Special {
    static void Call() { CallWithAny(Function); }
};

#define SPECIAL(function) template <> inline void Special<function>::Call()
template <class T> T Any() { return Argument<T>::Any(); }

/* A buffer and what the client says is in it. */
struct Buffer {
    size_t Length = Mine->Byte() % 64 ? (size_t)(Mine->Number() % 2048) : 0;
    void *Bytes = Mine->Byte() % 32 ? Game.Block(Length, 'b') : nullptr;

    Buffer()
    {
        /* NULL is a pointer to nothing, however long it is said to be. */
        if (!Bytes)
            Length = (size_t)Mine->Number();
    }
};

/* --- memory and contexts --- */

SPECIAL(WdfMemoryCreate)
{
    auto attributes = Any<PWDF_OBJECT_ATTRIBUTES>();
    size_t size = Moderate(Mine->Number());
    WDFMEMORY *memory = Any<WDFMEMORY *>();
    PVOID buffer = nullptr;
    NTSTATUS status = WdfMemoryCreate(attributes, PagedPool, 'zzuF', size, memory, Mine->Byte() % 16 ? &buffer : nullptr);
    LearnFrom(memory);
    if (NT_SUCCESS(status) && buffer && Game.Alone)
        memset(buffer, 'm', size);
}

SPECIAL(WdfMemoryCreatePreallocated)
{
    Buffer buffer;
    WDFMEMORY *memory = Any<WDFMEMORY *>();
    WdfMemoryCreatePreallocated(Any<PWDF_OBJECT_ATTRIBUTES>(), buffer.Bytes, buffer.Length, memory);
    LearnFrom(memory);
}

SPECIAL(WdfMemoryAssignBuffer)
{
    Buffer buffer;
    WdfMemoryAssignBuffer(Any<WDFMEMORY>(), buffer.Bytes, buffer.Length);
}

SPECIAL(WdfMemoryCopyToBuffer)
{
    Buffer buffer;
    WdfMemoryCopyToBuffer(Any<WDFMEMORY>(), (size_t)Mine->Number(), buffer.Bytes, buffer.Length);
}

SPECIAL(WdfMemoryCopyFromBuffer)
{
    Buffer buffer;
    WdfMemoryCopyFromBuffer(Any<WDFMEMORY>(), (size_t)Mine->Number(), buffer.Bytes, buffer.Length);
}

SPECIAL(WdfObjectGetTypedContextWorker)
{
    auto type = Any<PCWDF_OBJECT_CONTEXT_TYPE_INFO>();
    PVOID context = WdfObjectGetTypedContextWorker(Any<PVOID>(), type);
    Learn(context);
    if (context && type->ContextName && Game.Alone)
        memset(context, 'c', type->ContextSize);
}

SPECIAL(WdfObjectReferenceActual)
{
    PVOID handle = Any<PVOID>();
    WdfObjectReferenceActual(handle, nullptr, 0, "");
    std::lock_guard<std::mutex> held(Game.Lock);
    Game.References[handle]++;
}

/* --- locks: none is held for longer than these lines, but wait locks, which are not waited for --- */

SPECIAL(WdfSpinLockAcquire)
{
    WDFSPINLOCK lock = Any<WDFSPINLOCK>();
    unsigned times = 1 + Mine->Byte() % 8 / 7;
    for (unsigned i = 0; i < times; i++)
        WdfSpinLockAcquire(lock);
    WdfSpinLockRelease(lock);
}

SPECIAL(WdfObjectAcquireLock)
{
    /* From a callback, another thread may be in one that this lock keeps out, and wait for this one. */
    PVOID object = Any<PVOID>();
    if (Mine->Depth > 0)
        return;
    WdfObjectAcquireLock(object);
    WdfObjectReleaseLock(object);
}

SPECIAL(WdfWaitLockAcquire)
{
    LONGLONG now = 0;
    WdfWaitLockAcquire(Any<WDFWAITLOCK>(), &now);
}

/* --- waiting for the client itself --- */

/* In order only if nobody has to do anything for it: a request that is out is this thread's. */
template <auto Wait> void WaitForQueue(ULONG wanted)
{
    WDFQUEUE queue = Any<WDFQUEUE>();
    bool idle = (WdfIoQueueGetState(queue, nullptr, nullptr) & wanted) == wanted;
    if (idle && Game.Alone && Mine->Depth == 0)
        Wait(queue);
}

SPECIAL(WdfIoQueueStopSynchronously) { WaitForQueue<WdfIoQueueStopSynchronously>(WdfIoQueueDriverNoRequests); }
SPECIAL(WdfIoQueueDrainSynchronously) { WaitForQueue<WdfIoQueueDrainSynchronously>(WdfIoQueueDriverNoRequests | WdfIoQueueNoRequests); }
SPECIAL(WdfIoQueuePurgeSynchronously) { WaitForQueue<WdfIoQueuePurgeSynchronously>(WdfIoQueueDriverNoRequests | WdfIoQueueNoRequests); }

/* A callback may hold the lock that the routine waits for. */
SPECIAL(WdfTimerStop) { WdfTimerStop(Any<WDFTIMER>(), Mine->Depth ? FALSE : Any<BOOLEAN>()); }
SPECIAL(WdfDpcCancel) { WdfDpcCancel(Any<WDFDPC>(), Mine->Depth ? FALSE : Any<BOOLEAN>()); }
SPECIAL(WdfWorkItemFlush)
{
    if (Mine->Depth == 0)
        WdfWorkItemFlush(Any<WDFWORKITEM>());
}

/* These two end the process, as they are to. */
SPECIAL(WdfVerifierDbgBreakPoint) {}
SPECIAL(WdfVerifierKeBugCheck) {}

/* --- bytes that are copied in or out --- */

SPECIAL(WdfDeviceAssignProperty)
{
    Buffer buffer;
    WdfDeviceAssignProperty(Any<WDFDEVICE>(), Any<PWDF_DEVICE_PROPERTY_DATA>(), Any<DEVPROPTYPE>(), (ULONG)buffer.Length, buffer.Bytes);
}

SPECIAL(WdfDeviceQueryPropertyEx)
{
    Buffer buffer;
    WdfDeviceQueryPropertyEx(Any<WDFDEVICE>(), Any<PWDF_DEVICE_PROPERTY_DATA>(), (ULONG)buffer.Length, buffer.Bytes, Any<PULONG>(), Any<PDEVPROPTYPE>());
}

SPECIAL(WdfDeviceQueryProperty)
{
    Buffer buffer;
    WdfDeviceQueryProperty(Any<WDFDEVICE>(), Any<DEVICE_REGISTRY_PROPERTY>(), (ULONG)buffer.Length, buffer.Bytes, Any<PULONG>());
}

SPECIAL(WdfRegistryQueryValue)
{
    Buffer buffer;
    WdfRegistryQueryValue(Any<WDFKEY>(), Any<PCUNICODE_STRING>(), (ULONG)buffer.Length, buffer.Bytes, Any<PULONG>(), Any<PULONG>());
}

SPECIAL(WdfRegistryAssignValue)
{
    Buffer buffer;
    WdfRegistryAssignValue(Any<WDFKEY>(), Any<PCUNICODE_STRING>(), Any<ULONG>(), (ULONG)buffer.Length, buffer.Bytes);
}

SPECIAL(NetConfigurationAssignBinary)
{
    Buffer buffer;
    NetConfigurationAssignBinary(Any<NETCONFIGURATION>(), Any<PCUNICODE_STRING>(), buffer.Bytes, (ULONG)buffer.Length);
}

SPECIAL(NetDeviceStoreResetDiagnostics)
{
    Buffer buffer;
    NetDeviceStoreResetDiagnostics(Any<WDFDEVICE>(), buffer.Length, (UINT8 *)buffer.Bytes);
}
#undef SPECIAL
