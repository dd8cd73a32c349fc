/* Checked integer arithmetic that answers with an NTSTATUS. */
#ifndef UMNET_NTINTSAFE_H
#define UMNET_NTINTSAFE_H

#pragma GCC system_header

#include "umnet/nt.h"

UMNET_EXTERN_C_BEGIN

#define UMNET_CHECKED(Name, type, operation) \
    UMNET_INLINE NTSTATUS Name(type a, type b, type *result) \
    { \
        if (!__builtin_##operation##_overflow(a, b, result)) \
            return STATUS_SUCCESS; \
        *result = (type)-1; \
        return STATUS_INTEGER_OVERFLOW; \
    }
#define UMNET_CHECKED_ALL(Name, type) \
    UMNET_CHECKED(Rtl##Name##Add, type, add) \
    UMNET_CHECKED(Rtl##Name##Sub, type, sub) \
    UMNET_CHECKED(Rtl##Name##Mult, type, mul)
UMNET_CHECKED_ALL(ULong, ULONG)
UMNET_CHECKED_ALL(UShort, USHORT)
UMNET_CHECKED_ALL(ULongLong, ULONGLONG)
UMNET_CHECKED_ALL(SizeT, SIZE_T)
UMNET_CHECKED_ALL(UInt32, UINT32)
UMNET_CHECKED_ALL(UInt8, UINT8)
#undef UMNET_CHECKED_ALL
#undef UMNET_CHECKED

#define UMNET_CONVERTED(Name, from, to) \
    UMNET_INLINE NTSTATUS Name(from value, to *result) \
    { \
        if ((from)(to)value == value && ((to)value < 0) == (value < 0)) { \
            *result = (to)value; \
            return STATUS_SUCCESS; \
        } \
        *result = (to)-1; \
        return STATUS_INTEGER_OVERFLOW; \
    }
UMNET_CONVERTED(RtlSizeTToULong, SIZE_T, ULONG)
UMNET_CONVERTED(RtlSizeTToUShort, SIZE_T, USHORT)
UMNET_CONVERTED(RtlULongLongToULong, ULONGLONG, ULONG)
UMNET_CONVERTED(RtlULongToUShort, ULONG, USHORT)
#undef UMNET_CONVERTED

UMNET_EXTERN_C_END

#endif
