/*
 * Threads and processors as the kernel names them. Priorities are taken and
 * not followed; there is one group of processors and one node.
 */
#ifndef UMNET_KERNEL_THREADS_H
#define UMNET_KERNEL_THREADS_H

#pragma GCC system_header

#include "nt.h"

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;
#define OBJ_CASE_INSENSITIVE 0x00000040
#define OBJ_KERNEL_HANDLE 0x00000200
#define InitializeObjectAttributes(p, name, attributes, root, security) \
    ((p)->Length = sizeof(OBJECT_ATTRIBUTES), (p)->RootDirectory = (root), (p)->ObjectName = (name), \
     (p)->Attributes = (attributes), (p)->SecurityDescriptor = (security), (p)->SecurityQualityOfService = 0)

UMNET_EXTERN_C_BEGIN

#define ObDereferenceObject(object) ObfDereferenceObject(object)
#define PsGetCurrentThread() ((PETHREAD)KeGetCurrentThread())

UMNET_INLINE KPRIORITY KeSetPriorityThread(PKTHREAD thread, KPRIORITY priority)
{
    (void)thread;
    (void)priority;
    return LOW_REALTIME_PRIORITY / 2;
}
UMNET_INLINE LONG KeSetBasePriorityThread(PKTHREAD thread, LONG increment)
{
    (void)thread;
    (void)increment;
    return 0;
}

#define AFFINITY_MASK(number) ((KAFFINITY)1 << (number))

typedef BOOL (*UMNET_AFFINITY_FUNCTION)(HANDLE thread, const GROUP_AFFINITY *wanted, PGROUP_AFFINITY previous);
UMNET_INLINE VOID KeSetSystemGroupAffinityThread(PGROUP_AFFINITY affinity, PGROUP_AFFINITY previous)
{
    HANDLE self = ((HANDLE (*)(void))UmnetFunctions[GetCurrentThreadTableIndex])();
    ((UMNET_AFFINITY_FUNCTION)UmnetFunctions[SetThreadGroupAffinityTableIndex])(self, affinity, previous);
}
UMNET_INLINE VOID KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY previous)
{
    KeSetSystemGroupAffinityThread(previous, 0);
}

UMNET_INLINE ULONG KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER number)
{
    ULONG index = ((ULONG (*)(void))UmnetFunctions[GetCurrentProcessorNumberTableIndex])();
    if (number) {
        number->Group = 0;
        number->Number = (UCHAR)index;
        number->Reserved = 0;
    }
    return index;
}
#define KeGetCurrentProcessorNumber() KeGetCurrentProcessorNumberEx(0)
#define KeGetCurrentProcessorIndex() KeGetCurrentProcessorNumberEx(0)
#define KeQueryMaximumProcessorCountEx(group) KeQueryActiveProcessorCountEx(group)
#ifndef ALL_PROCESSOR_GROUPS
#define ALL_PROCESSOR_GROUPS 0xffff
#endif

UMNET_INLINE NTSTATUS KeGetProcessorNumberFromIndex(ULONG index, PPROCESSOR_NUMBER number)
{
    if (index >= KeQueryActiveProcessorCountEx(0))
        return STATUS_INVALID_PARAMETER;
    number->Group = 0;
    number->Number = (UCHAR)index;
    number->Reserved = 0;
    return STATUS_SUCCESS;
}
UMNET_INLINE ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER number)
{
    return number->Group == 0 && number->Number < KeQueryActiveProcessorCountEx(0) ? number->Number : 0xffffffffU;
}
UMNET_INLINE VOID KeQueryNodeActiveAffinity(USHORT node, PGROUP_AFFINITY affinity, PUSHORT count)
{
    ULONG processors = node ? 0 : KeQueryActiveProcessorCountEx(0);
    if (affinity) {
        memset(affinity, 0, sizeof(*affinity));
        affinity->Mask = processors >= 64 ? ~(KAFFINITY)0 : AFFINITY_MASK(processors) - 1;
    }
    if (count)
        *count = (USHORT)processors;
}
#define KeQueryHighestNodeNumber() ((USHORT)0)

UMNET_EXTERN_C_END

#endif
