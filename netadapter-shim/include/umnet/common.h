/*
 * What windows.h and the kernel headers have in common: small macros, memory
 * and byte-order functions, interlocked operations.
 */
#ifndef UMNET_COMMON_H
#define UMNET_COMMON_H

#pragma GCC system_header

#include "base.h"
#include "interlocked.h"

#define UNREFERENCED_PARAMETER(p) ((void)(p))
#define DBG_UNREFERENCED_PARAMETER(p) ((void)(p))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#define DEFAULT_UNREACHABLE default: __builtin_unreachable()

#ifndef FIELD_OFFSET
#define FIELD_OFFSET(type, field) ((LONG)__builtin_offsetof(type, field))
#endif
#define UFIELD_OFFSET(type, field) ((ULONG)__builtin_offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define RTL_SIZEOF_THROUGH_FIELD(type, field) (__builtin_offsetof(type, field) + RTL_FIELD_SIZE(type, field))
#define FIELD_SIZE(type, field) RTL_FIELD_SIZE(type, field)
#define RTL_CONTAINS_FIELD(s, size, field) ((((PCHAR)(&(s)->field)) + sizeof((s)->field)) <= (((PCHAR)(s)) + (size)))
#define CONTAINING_RECORD(address, type, field) ((type *)((PCHAR)(address) - __builtin_offsetof(type, field)))
#define RTL_NUMBER_OF(a) (sizeof(a) / sizeof((a)[0]))
#define RTL_NUMBER_OF_V1(a) RTL_NUMBER_OF(a)
#define RTL_NUMBER_OF_V2(a) RTL_NUMBER_OF(a)
#define ARRAYSIZE(a) RTL_NUMBER_OF(a)
#ifndef _countof
#define _countof(a) RTL_NUMBER_OF(a)
#endif
#define C_ASSERT(e) UMNET_STATIC_ASSERT(e, #e)
#ifdef __cplusplus
#define TYPE_ALIGNMENT(t) alignof(t)
#else
#define TYPE_ALIGNMENT(t) _Alignof(t)
#endif

#define MAKEWORD(low, high) ((WORD)(((BYTE)(low)) | ((WORD)((BYTE)(high))) << 8))
#define MAKELONG(low, high) ((LONG)(((WORD)(low)) | ((DWORD)((WORD)(high))) << 16))
#define LOWORD(v) ((WORD)((DWORD_PTR)(v) & 0xffff))
#define HIWORD(v) ((WORD)(((DWORD_PTR)(v) >> 16) & 0xffff))
#define LOBYTE(v) ((BYTE)((DWORD_PTR)(v) & 0xff))
#define HIBYTE(v) ((BYTE)(((DWORD_PTR)(v) >> 8) & 0xff))

#define MAXCHAR 0x7f
#define MAXUCHAR 0xff
#define MAXSHORT 0x7fff
#define MAXUSHORT 0xffff
#define USHORT_MAX 0xffff
#define MAXWORD 0xffff
#define MAXLONG 0x7fffffff
#define MAXULONG 0xffffffffU
#define MAXDWORD 0xffffffffU
#define MAXUINT8 ((UINT8)~((UINT8)0))
#define MAXUINT16 ((UINT16)~((UINT16)0))
#define MAXUINT32 ((UINT32)~((UINT32)0))
#define MAXUINT64 ((UINT64)~((UINT64)0))
#define MAXINT32 ((INT32)(MAXUINT32 >> 1))
#define MAXINT64 ((INT64)(MAXUINT64 >> 1))
#define MAXULONG32 MAXUINT32
#define MAXULONG64 MAXUINT64
#define MAXLONGLONG MAXINT64
#define MAXULONGLONG MAXUINT64
#define MAXSIZE_T ((SIZE_T)~((SIZE_T)0))
#define MAXULONG_PTR ((ULONG_PTR)~((ULONG_PTR)0))
#define MAXUINT MAXUINT32
#ifndef SIZE_T_MAX
#define SIZE_T_MAX MAXSIZE_T
#endif

#define ANYSIZE_ARRAY 1
#define DUMMYUNIONNAME
#define DUMMYUNIONNAME2
#define DUMMYSTRUCTNAME
#define DUMMYSTRUCTNAME2
#define MAX_PATH 260
#define UNICODE_NULL ((WCHAR)0)
#define UNICODE_STRING_MAX_BYTES ((USHORT)65534)
#define UNICODE_STRING_MAX_CHARS (32767)
#define ANSI_NULL ((CHAR)0)

#define ALIGN_DOWN_BY(length, alignment) ((ULONG_PTR)(length) & ~((ULONG_PTR)(alignment) - 1))
#define ALIGN_UP_BY(length, alignment) ALIGN_DOWN_BY((ULONG_PTR)(length) + (alignment) - 1, alignment)
#define ALIGN_DOWN(length, type) ALIGN_DOWN_BY(length, sizeof(type))
#define ALIGN_UP(length, type) ALIGN_UP_BY(length, sizeof(type))
#define ALIGN_UP_POINTER_BY(address, alignment) ((PVOID)ALIGN_UP_BY(address, alignment))
#define ALIGN_DOWN_POINTER_BY(address, alignment) ((PVOID)ALIGN_DOWN_BY(address, alignment))


#define PtrToUlong(p) ((ULONG)(ULONG_PTR)(p))
#define PtrToLong(p) ((LONG)(LONG_PTR)(p))
#define PtrToUint(p) ((UINT)(UINT_PTR)(p))
#define UlongToPtr(v) ((void *)(ULONG_PTR)(ULONG)(v))
#define ULongToPtr(v) UlongToPtr(v)
#define LongToPtr(v) ((void *)(LONG_PTR)(LONG)(v))
#define HandleToUlong(h) ((ULONG)(ULONG_PTR)(h))
#define HandleToULong(h) HandleToUlong(h)
#define UlongToHandle(v) ((HANDLE)(ULONG_PTR)(ULONG)(v))
#define ULongToHandle(v) UlongToHandle(v)

/* Memory. The names are macros on Windows too. */
#define RtlCopyMemory(to, from, length) memcpy((to), (from), (length))
#define RtlMoveMemory(to, from, length) memmove((to), (from), (length))
#define RtlFillMemory(to, length, byte) memset((to), (byte), (length))
#define RtlZeroMemory(to, length) memset((to), 0, (length))
#define RtlEqualMemory(a, b, length) (!memcmp((a), (b), (length)))
#define RtlCopyVolatileMemory(to, from, length) memcpy((void *)(to), (const void *)(from), (length))
#define CopyMemory RtlCopyMemory
#define MoveMemory RtlMoveMemory
#define FillMemory RtlFillMemory
#define ZeroMemory RtlZeroMemory

UMNET_EXTERN_C_BEGIN

UMNET_INLINE PVOID RtlSecureZeroMemory(PVOID to, SIZE_T length)
{
    volatile UCHAR *byte = (volatile UCHAR *)to;
    while (length--)
        *byte++ = 0;
    return to;
}

/* How many bytes from the start are equal. */
UMNET_INLINE SIZE_T RtlCompareMemory(const VOID *a, const VOID *b, SIZE_T length)
{
    const UCHAR *left = (const UCHAR *)a, *right = (const UCHAR *)b;
    SIZE_T equal = 0;
    while (equal < length && left[equal] == right[equal])
        equal++;
    return equal;
}

/* Byte order and bits. */
#define RtlUshortByteSwap(v) __builtin_bswap16(v)
#define RtlUlongByteSwap(v) __builtin_bswap32(v)
#define RtlUlonglongByteSwap(v) __builtin_bswap64(v)
UMNET_INLINE USHORT _byteswap_ushort(USHORT v) { return __builtin_bswap16(v); }
#ifndef __MINGW32__
UMNET_INLINE ULONG _byteswap_ulong(ULONG v) { return __builtin_bswap32(v); }
UMNET_INLINE ULONG64 _byteswap_uint64(ULONG64 v) { return __builtin_bswap64(v); }
#endif

UMNET_INLINE UCHAR BitScanForward(ULONG *index, ULONG mask)
{
    if (mask)
        *index = (ULONG)__builtin_ctz(mask);
    return mask != 0;
}

UMNET_INLINE UCHAR BitScanForward64(ULONG *index, ULONG64 mask)
{
    if (mask)
        *index = (ULONG)__builtin_ctzll(mask);
    return mask != 0;
}

UMNET_INLINE UCHAR BitScanReverse(ULONG *index, ULONG mask)
{
    if (mask)
        *index = 31 - (ULONG)__builtin_clz(mask);
    return mask != 0;
}

UMNET_INLINE UCHAR BitScanReverse64(ULONG *index, ULONG64 mask)
{
    if (mask)
        *index = 63 - (ULONG)__builtin_clzll(mask);
    return mask != 0;
}

/* A clock that only compares with itself. */
UMNET_INLINE ULONG64 ReadTimeStampCounter(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    ULONG64 ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
}

#ifndef __MINGW32__
#define _BitScanForward BitScanForward
#define _BitScanForward64 BitScanForward64
#define _BitScanReverse BitScanReverse
#define _BitScanReverse64 BitScanReverse64
#endif
#define PopulationCount64(v) ((ULONG64)__builtin_popcountll(v))
#define RotateLeft32(v, n) ((ULONG)(((ULONG)(v) << ((n) & 31)) | ((ULONG)(v) >> ((32 - (n)) & 31))))

UMNET_EXTERN_C_END

/* Flag enumerations: C++ needs operators, C has them. */
#ifdef __cplusplus
extern "C++" {
#define UMNET_FLAG_OPERATOR inline __attribute__((visibility("hidden")))
#define DEFINE_ENUM_FLAG_OPERATORS(ENUM) \
    extern "C++" { \
    UMNET_FLAG_OPERATOR constexpr ENUM operator|(ENUM a, ENUM b) { return ENUM((unsigned)a | (unsigned)b); } \
    UMNET_FLAG_OPERATOR constexpr ENUM operator&(ENUM a, ENUM b) { return ENUM((unsigned)a & (unsigned)b); } \
    UMNET_FLAG_OPERATOR constexpr ENUM operator^(ENUM a, ENUM b) { return ENUM((unsigned)a ^ (unsigned)b); } \
    UMNET_FLAG_OPERATOR constexpr ENUM operator~(ENUM a) { return ENUM(~(unsigned)a); } \
    UMNET_FLAG_OPERATOR ENUM &operator|=(ENUM &a, ENUM b) { return a = a | b; } \
    UMNET_FLAG_OPERATOR ENUM &operator&=(ENUM &a, ENUM b) { return a = a & b; } \
    UMNET_FLAG_OPERATOR ENUM &operator^=(ENUM &a, ENUM b) { return a = a ^ b; } \
    }
}
#else
#define DEFINE_ENUM_FLAG_OPERATORS(ENUM)
#endif

/* Windows has these two as macros, which the C++ library here does not stand. */
#if !defined(NOMINMAX) && !defined(min) && !defined(max)
#ifdef __cplusplus
extern "C++" {
template <typename A, typename B> constexpr auto min(A a, B b) -> decltype(a < b ? a : b) { return a < b ? a : b; }
template <typename A, typename B> constexpr auto max(A a, B b) -> decltype(a > b ? a : b) { return a > b ? a : b; }
}
#else
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif
#endif

/* GUIDs: initguid.h makes definitions of the declarations. */
#include "guid.h"

#endif
