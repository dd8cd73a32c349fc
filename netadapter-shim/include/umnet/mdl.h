/*
 * Memory descriptor lists. They describe a buffer to whoever reads them; page
 * numbers, which only hardware can use, are zero.
 */
#ifndef UMNET_MDL_H
#define UMNET_MDL_H

#pragma GCC system_header

#include "nt.h"

typedef ULONG_PTR PFN_NUMBER, *PPFN_NUMBER;
typedef SHORT CSHORT, *PCSHORT;

typedef struct _MDL {
    struct _MDL *Next;
    CSHORT Size;
    CSHORT MdlFlags;
    struct _EPROCESS *Process;
    PVOID MappedSystemVa;
    PVOID StartVa;
    ULONG ByteCount;
    ULONG ByteOffset;
} MDL, *PMDL;

#define MDL_MAPPED_TO_SYSTEM_VA 0x0001
#define MDL_PAGES_LOCKED 0x0002
#define MDL_SOURCE_IS_NONPAGED_POOL 0x0004

typedef enum _MM_PAGE_PRIORITY {
    LowPagePriority = 0,
    NormalPagePriority = 16,
    HighPagePriority = 32
} MM_PAGE_PRIORITY;
#define MdlMappingNoWrite 0x80000000
#define MdlMappingNoExecute 0x40000000

#define BYTE_OFFSET(address) ((ULONG)((ULONG_PTR)(address) & (PAGE_SIZE - 1)))
#define PAGE_ALIGN(address) ((PVOID)((ULONG_PTR)(address) & ~((ULONG_PTR)PAGE_SIZE - 1)))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(address, size) \
    ((ULONG)((BYTE_OFFSET(address) + (SIZE_T)(size) + (PAGE_SIZE - 1)) >> PAGE_SHIFT))

#define MmGetMdlByteCount(mdl) ((mdl)->ByteCount)
#define MmGetMdlByteOffset(mdl) ((mdl)->ByteOffset)
#define MmGetMdlBaseVa(mdl) ((mdl)->StartVa)
#define MmGetMdlVirtualAddress(mdl) ((PVOID)((PCHAR)(mdl)->StartVa + (mdl)->ByteOffset))
#define MmGetMdlPfnArray(mdl) ((PPFN_NUMBER)((mdl) + 1))
#define MmGetSystemAddressForMdlSafe(mdl, priority) ((void)(priority), MmGetMdlVirtualAddress(mdl))

UMNET_EXTERN_C_BEGIN

UMNET_INLINE SIZE_T MmSizeOfMdl(PVOID base, SIZE_T length)
{
    return sizeof(MDL) + ADDRESS_AND_SIZE_TO_SPAN_PAGES(base, length) * sizeof(PFN_NUMBER);
}

UMNET_INLINE VOID MmInitializeMdl(PMDL mdl, PVOID base, SIZE_T length)
{
    memset(mdl, 0, MmSizeOfMdl(base, length));
    mdl->Size = (CSHORT)MmSizeOfMdl(base, length);
    mdl->StartVa = PAGE_ALIGN(base);
    mdl->ByteOffset = BYTE_OFFSET(base);
    mdl->ByteCount = (ULONG)length;
}

UMNET_INLINE VOID MmBuildMdlForNonPagedPool(PMDL mdl)
{
    mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
    mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}

UMNET_INLINE VOID KeFlushIoBuffers(PMDL mdl, BOOLEAN read, BOOLEAN dma)
{
    (void)mdl;
    (void)read;
    (void)dma;
}

UMNET_EXTERN_C_END

#endif
