/*
 * The kernel's way to a device's registers. Memory that WdfDeviceMapIoSpace
 * has mapped can be read and written so; mapping without a device cannot be
 * had in user mode.
 */
#ifndef UMNET_REGISTERS_H
#define UMNET_REGISTERS_H

#pragma GCC system_header

#include "nt.h"

#define PAGE_NOACCESS 0x01
#define PAGE_READONLY 0x02
#define PAGE_READWRITE 0x04
#define PAGE_NOCACHE 0x200
#define PAGE_WRITECOMBINE 0x400

UMNET_EXTERN_C_BEGIN

#define UMNET_REGISTER(NAME, type) \
    UMNET_INLINE type READ_REGISTER_##NAME(volatile type *address) \
    { \
        type value = *address; \
        __atomic_thread_fence(__ATOMIC_SEQ_CST); \
        return value; \
    } \
    UMNET_INLINE VOID WRITE_REGISTER_##NAME(volatile type *address, type value) \
    { \
        __atomic_thread_fence(__ATOMIC_SEQ_CST); \
        *address = value; \
        __atomic_thread_fence(__ATOMIC_SEQ_CST); \
    } \
    UMNET_INLINE type READ_REGISTER_NOFENCE_##NAME(volatile type *address) { return *address; } \
    UMNET_INLINE VOID WRITE_REGISTER_NOFENCE_##NAME(volatile type *address, type value) { *address = value; }
UMNET_REGISTER(UCHAR, UCHAR)
UMNET_REGISTER(USHORT, USHORT)
UMNET_REGISTER(ULONG, ULONG)
UMNET_REGISTER(ULONG64, ULONG64)
#undef UMNET_REGISTER

UMNET_INLINE PVOID UmnetNoIoSpace(PCSTR call)
{
    UmnetLog(2, __FILE__, __LINE__, call, "user mode maps registers with WdfDeviceMapIoSpace only");
    return 0;
}
UMNET_INLINE PVOID MmMapIoSpaceEx(PHYSICAL_ADDRESS address, SIZE_T length, ULONG protection)
{
    (void)address;
    (void)length;
    (void)protection;
    return UmnetNoIoSpace("MmMapIoSpaceEx");
}
UMNET_INLINE PVOID MmMapIoSpace(PHYSICAL_ADDRESS address, SIZE_T length, MEMORY_CACHING_TYPE caching)
{
    (void)address;
    (void)length;
    (void)caching;
    return UmnetNoIoSpace("MmMapIoSpace");
}
UMNET_INLINE VOID MmUnmapIoSpace(PVOID address, SIZE_T length)
{
    (void)address;
    (void)length;
}

/* Memory for hardware to read and write: there is none. */
UMNET_INLINE PVOID MmAllocateContiguousMemorySpecifyCache(SIZE_T bytes, PHYSICAL_ADDRESS lowest, PHYSICAL_ADDRESS highest, PHYSICAL_ADDRESS boundary, MEMORY_CACHING_TYPE caching)
{
    (void)bytes;
    (void)lowest;
    (void)highest;
    (void)boundary;
    (void)caching;
    UmnetLog(2, __FILE__, __LINE__, "MmAllocateContiguousMemorySpecifyCache", "user mode has no memory for DMA");
    return 0;
}
UMNET_INLINE PVOID MmAllocateContiguousMemory(SIZE_T bytes, PHYSICAL_ADDRESS highest)
{
    return MmAllocateContiguousMemorySpecifyCache(bytes, highest, highest, highest, MmCached);
}
UMNET_INLINE VOID MmFreeContiguousMemory(PVOID memory) { (void)memory; }

UMNET_EXTERN_C_END

#endif
