/*
 * Lookaside lists. The allocator keeps freed blocks itself, so that a list is
 * a size, and a client's own functions if it has any.
 */
#ifndef UMNET_LOOKASIDE_H
#define UMNET_LOOKASIDE_H

#pragma GCC system_header

#include "nt.h"

struct _LOOKASIDE_LIST_EX;
typedef PVOID ALLOCATE_FUNCTION(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
typedef ALLOCATE_FUNCTION *PALLOCATE_FUNCTION;
typedef VOID FREE_FUNCTION(PVOID Buffer);
typedef FREE_FUNCTION *PFREE_FUNCTION;
typedef PVOID ALLOCATE_FUNCTION_EX(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, struct _LOOKASIDE_LIST_EX *Lookaside);
typedef ALLOCATE_FUNCTION_EX *PALLOCATE_FUNCTION_EX;
typedef VOID FREE_FUNCTION_EX(PVOID Buffer, struct _LOOKASIDE_LIST_EX *Lookaside);
typedef FREE_FUNCTION_EX *PFREE_FUNCTION_EX;

typedef struct _LOOKASIDE_LIST_EX {
    SIZE_T Size;
    ULONG Tag;
    POOL_TYPE Type;
    PALLOCATE_FUNCTION_EX Allocate;
    PFREE_FUNCTION_EX Free;
} LOOKASIDE_LIST_EX, *PLOOKASIDE_LIST_EX;

typedef struct _NPAGED_LOOKASIDE_LIST {
    SIZE_T Size;
    ULONG Tag;
    PALLOCATE_FUNCTION Allocate;
    PFREE_FUNCTION Free;
} NPAGED_LOOKASIDE_LIST, *PNPAGED_LOOKASIDE_LIST, PAGED_LOOKASIDE_LIST, *PPAGED_LOOKASIDE_LIST;

UMNET_EXTERN_C_BEGIN

UMNET_INLINE NTSTATUS ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX list, PALLOCATE_FUNCTION_EX allocate, PFREE_FUNCTION_EX release, POOL_TYPE type, ULONG flags, SIZE_T size, ULONG tag, USHORT depth)
{
    (void)flags;
    (void)depth;
    list->Size = size;
    list->Tag = tag;
    list->Type = type;
    list->Allocate = allocate;
    list->Free = release;
    return STATUS_SUCCESS;
}
UMNET_INLINE PVOID ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX list)
{
    if (list->Allocate)
        return list->Allocate(list->Type, list->Size, list->Tag, list);
    return ExAllocatePoolWithTag(list->Type, list->Size, list->Tag);
}
UMNET_INLINE VOID ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX list, PVOID entry)
{
    if (list->Free)
        list->Free(entry, list);
    else
        ExFreePoolWithTag(entry, list->Tag);
}
UMNET_INLINE VOID ExFlushLookasideListEx(PLOOKASIDE_LIST_EX list) { (void)list; }
UMNET_INLINE VOID ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX list) { (void)list; }

UMNET_INLINE VOID ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list, PALLOCATE_FUNCTION allocate, PFREE_FUNCTION release, ULONG flags, SIZE_T size, ULONG tag, USHORT depth)
{
    (void)flags;
    (void)depth;
    list->Size = size;
    list->Tag = tag;
    list->Allocate = allocate;
    list->Free = release;
}
UMNET_INLINE PVOID ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list)
{
    if (list->Allocate)
        return list->Allocate(NonPagedPoolNx, list->Size, list->Tag);
    return ExAllocatePoolWithTag(NonPagedPoolNx, list->Size, list->Tag);
}
UMNET_INLINE VOID ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list, PVOID entry)
{
    if (list->Free)
        list->Free(entry);
    else
        ExFreePoolWithTag(entry, list->Tag);
}
UMNET_INLINE VOID ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list) { (void)list; }
#define ExInitializePagedLookasideList ExInitializeNPagedLookasideList
#define ExAllocateFromPagedLookasideList ExAllocateFromNPagedLookasideList
#define ExFreeToPagedLookasideList ExFreeToNPagedLookasideList
#define ExDeletePagedLookasideList ExDeleteNPagedLookasideList

UMNET_EXTERN_C_END

#endif
