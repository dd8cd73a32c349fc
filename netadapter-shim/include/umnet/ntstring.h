/* Counted strings. */
#ifndef UMNET_NTSTRING_H
#define UMNET_NTSTRING_H

#pragma GCC system_header

#include "base.h"
#include "../ntstatus.h"

UMNET_EXTERN_C_BEGIN

/* The length of a terminated 16-bit string; the C library's wcslen counts in
 * 32-bit characters. */
UMNET_INLINE SIZE_T UmnetWideLength(PCWSTR text)
{
    SIZE_T length = 0;
    while (text[length])
        length++;
    return length;
}

UMNET_INLINE VOID RtlInitUnicodeString(PUNICODE_STRING string, PCWSTR text)
{
    SIZE_T bytes = text ? UmnetWideLength(text) * sizeof(WCHAR) : 0;
    if (bytes > 0xFFFC)
        bytes = 0xFFFC;
    string->Length = (USHORT)bytes;
    string->MaximumLength = (USHORT)(text ? bytes + sizeof(WCHAR) : 0);
    string->Buffer = (PWCH)text;
}

UMNET_INLINE VOID RtlInitAnsiString(PANSI_STRING string, PCSZ text)
{
    SIZE_T bytes = text ? strlen(text) : 0;
    if (bytes > 0xFFFE)
        bytes = 0xFFFE;
    string->Length = (USHORT)bytes;
    string->MaximumLength = (USHORT)(text ? bytes + 1 : 0);
    string->Buffer = (PCHAR)text;
}

UMNET_INLINE WCHAR UmnetWideUpper(WCHAR c)
{
    return c >= L'a' && c <= L'z' ? (WCHAR)(c - (L'a' - L'A')) : c;
}

/* Case is folded for ASCII only. */
UMNET_INLINE LONG RtlCompareUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseInsensitive)
{
    SIZE_T left = a->Length / sizeof(WCHAR), right = b->Length / sizeof(WCHAR), i;
    for (i = 0; i < left && i < right; i++) {
        WCHAR x = a->Buffer[i], y = b->Buffer[i];
        if (caseInsensitive) {
            x = UmnetWideUpper(x);
            y = UmnetWideUpper(y);
        }
        if (x != y)
            return (LONG)x - (LONG)y;
    }
    return (LONG)left - (LONG)right;
}

UMNET_INLINE BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseInsensitive)
{
    return RtlCompareUnicodeString(a, b, caseInsensitive) == 0;
}

UMNET_INLINE VOID RtlCopyUnicodeString(PUNICODE_STRING to, PCUNICODE_STRING from)
{
    USHORT bytes = from ? from->Length : 0;
    if (bytes > to->MaximumLength)
        bytes = to->MaximumLength;
    to->Length = bytes;
    if (bytes)
        memcpy(to->Buffer, from->Buffer, bytes);
    if (bytes + sizeof(WCHAR) <= to->MaximumLength)
        to->Buffer[bytes / sizeof(WCHAR)] = 0;
}

UMNET_INLINE NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING to, PCUNICODE_STRING from)
{
    if ((ULONG)to->Length + from->Length > to->MaximumLength)
        return STATUS_BUFFER_TOO_SMALL;
    if (from->Length)
        memcpy((PUCHAR)to->Buffer + to->Length, from->Buffer, from->Length);
    to->Length = (USHORT)(to->Length + from->Length);
    return STATUS_SUCCESS;
}

UMNET_EXTERN_C_END

#define RTL_CONSTANT_STRING(text) { sizeof(text) - sizeof((text)[0]), sizeof(text), (PWCH)(text) }
#define DECLARE_CONST_UNICODE_STRING(name, text) \
    static const WCHAR name##_buffer[] __attribute__((unused)) = text; \
    static const UNICODE_STRING name __attribute__((unused)) = { sizeof(text) - sizeof(WCHAR), sizeof(text), (PWCH)name##_buffer }
#define DECLARE_GLOBAL_CONST_UNICODE_STRING(name, text) DECLARE_CONST_UNICODE_STRING(name, text)
#define DECLARE_UNICODE_STRING_SIZE(name, size) \
    WCHAR name##_buffer[size]; \
    UNICODE_STRING name = { 0, (size) * sizeof(WCHAR), name##_buffer }

#endif
