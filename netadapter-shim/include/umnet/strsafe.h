/*
 * Bounded string functions: Rtl… answers with an NTSTATUS, String… with an
 * HRESULT; Cch counts characters, Cb bytes. The destination is terminated
 * always; STATUS_BUFFER_OVERFLOW says that the text was cut.
 */
#ifndef UMNET_STRSAFE_H
#define UMNET_STRSAFE_H

#pragma GCC system_header

#include "format.h"
#include "ntstring.h"

#define NTSTRSAFE_MAX_CCH 2147483647
#define STRSAFE_MAX_CCH 2147483647
#define STRSAFE_E_INSUFFICIENT_BUFFER ((HRESULT)(INT32)0x8007007A)
#define STRSAFE_E_INVALID_PARAMETER ((HRESULT)(INT32)0x80070057)
#define STRSAFE_IGNORE_NULLS 0x100
#define STRSAFE_FILL_BEHIND_NULL 0x200
#define STRSAFE_NULL_ON_FAILURE 0x800
#define NTSTRSAFE_PSTR PSTR
#define NTSTRSAFE_PCSTR PCSTR
#define NTSTRSAFE_PWSTR PWSTR
#define NTSTRSAFE_PCWSTR PCWSTR

UMNET_EXTERN_C_BEGIN

/* UTF-8 to 16-bit text; returns the units that all of it needs. */
UMNET_INLINE size_t UmnetWiden(PWSTR to, size_t room, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length = 0;
    while (*p) {
        UINT32 c = *p++, more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        c &= more ? 0x3F >> more : 0x7F;
        for (; more && (*p & 0xC0) == 0x80; more--)
            c = c << 6 | (*p++ & 0x3F);
        if (c >= 0x10000) {
            if (length + 1 < room)
                to[length] = (WCHAR)(0xD800 + ((c - 0x10000) >> 10));
            length++;
            c = 0xDC00 + ((c - 0x10000) & 0x3FF);
        }
        if (length + 1 < room)
            to[length] = (WCHAR)c;
        length++;
    }
    if (room)
        to[length < room ? length : room - 1] = 0;
    return length;
}

#define UMNET_BOUNDED(T, SUFFIX) \
    UMNET_INLINE NTSTATUS UmnetCopy##SUFFIX(T *to, size_t room, const T *from, size_t count) \
    { \
        size_t i = 0; \
        if (!room || room > NTSTRSAFE_MAX_CCH) \
            return STATUS_INVALID_PARAMETER; \
        for (; i < count && from[i]; i++) { \
            if (i + 1 == room) { \
                to[i] = 0; \
                return STATUS_BUFFER_OVERFLOW; \
            } \
            to[i] = from[i]; \
        } \
        to[i] = 0; \
        return STATUS_SUCCESS; \
    } \
    UMNET_INLINE NTSTATUS UmnetCat##SUFFIX(T *to, size_t room, const T *from, size_t count) \
    { \
        size_t used = 0; \
        while (used < room && to[used]) \
            used++; \
        return used == room ? STATUS_INVALID_PARAMETER : UmnetCopy##SUFFIX(to + used, room - used, from, count); \
    } \
    UMNET_INLINE NTSTATUS UmnetLength##SUFFIX(const T *text, size_t room, size_t *length) \
    { \
        size_t used = 0; \
        while (text && used < room && text[used]) \
            used++; \
        if (length) \
            *length = text && used < room ? used : 0; \
        return text && used < room ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER; \
    }
UMNET_BOUNDED(CHAR, A)
UMNET_BOUNDED(WCHAR, W)
#undef UMNET_BOUNDED

UMNET_INLINE NTSTATUS UmnetPrintListA(PSTR to, size_t room, PCSTR format, va_list arguments)
{
    if (!room || room > NTSTRSAFE_MAX_CCH)
        return STATUS_INVALID_PARAMETER;
    return UmnetFormat(to, room, "", format, arguments) < room ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

UMNET_INLINE NTSTATUS UmnetPrintListW(PWSTR to, size_t room, PCWSTR format, va_list arguments)
{
    char text[2048];
    size_t length;
    if (!room || room > NTSTRSAFE_MAX_CCH)
        return STATUS_INVALID_PARAMETER;
    length = UmnetFormatWide(text, sizeof(text), "", format, arguments);
    return length < sizeof(text) && UmnetWiden(to, room, text) < room ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

#define UMNET_PRINT(SUFFIX, P, PC) \
    UMNET_INLINE NTSTATUS UmnetPrint##SUFFIX(P to, size_t room, PC format, ...) \
    { \
        NTSTATUS status; \
        va_list arguments; \
        va_start(arguments, format); \
        status = UmnetPrintList##SUFFIX(to, room, format, arguments); \
        va_end(arguments); \
        return status; \
    }
UMNET_PRINT(A, PSTR, PCSTR)
UMNET_PRINT(W, PWSTR, PCWSTR)
#undef UMNET_PRINT

UMNET_INLINE HRESULT UmnetHresult(NTSTATUS status)
{
    return status == STATUS_SUCCESS ? 0 : status == STATUS_BUFFER_OVERFLOW ? STRSAFE_E_INSUFFICIENT_BUFFER : STRSAFE_E_INVALID_PARAMETER;
}

#define UMNET_ALL ((size_t)-1)

/* The HRESULT forms are functions: C++ libraries declare overloads of them. */
UMNET_INLINE HRESULT StringCchCopyA(PSTR to, size_t cch, PCSTR from) { return UmnetHresult(UmnetCopyA(to, cch, from, UMNET_ALL)); }
UMNET_INLINE HRESULT StringCchCopyW(PWSTR to, size_t cch, PCWSTR from) { return UmnetHresult(UmnetCopyW(to, cch, from, UMNET_ALL)); }
UMNET_INLINE HRESULT StringCbCopyW(PWSTR to, size_t cb, PCWSTR from) { return StringCchCopyW(to, cb / sizeof(WCHAR), from); }
UMNET_INLINE HRESULT StringCchCatA(PSTR to, size_t cch, PCSTR from) { return UmnetHresult(UmnetCatA(to, cch, from, UMNET_ALL)); }
UMNET_INLINE HRESULT StringCchCatW(PWSTR to, size_t cch, PCWSTR from) { return UmnetHresult(UmnetCatW(to, cch, from, UMNET_ALL)); }
UMNET_INLINE HRESULT StringCchLengthA(PCSTR text, size_t cch, size_t *length) { return UmnetHresult(UmnetLengthA(text, cch, length)); }
UMNET_INLINE HRESULT StringCchLengthW(PCWSTR text, size_t cch, size_t *length) { return UmnetHresult(UmnetLengthW(text, cch, length)); }
UMNET_INLINE HRESULT StringCchVPrintfA(PSTR to, size_t cch, PCSTR format, va_list arguments) { return UmnetHresult(UmnetPrintListA(to, cch, format, arguments)); }
UMNET_INLINE HRESULT StringCchVPrintfW(PWSTR to, size_t cch, PCWSTR format, va_list arguments) { return UmnetHresult(UmnetPrintListW(to, cch, format, arguments)); }

#define UMNET_STRING_PRINT(SUFFIX, P, PC) \
    UMNET_INLINE HRESULT StringCchPrintf##SUFFIX(P to, size_t cch, PC format, ...) \
    { \
        HRESULT result; \
        va_list arguments; \
        va_start(arguments, format); \
        result = StringCchVPrintf##SUFFIX(to, cch, format, arguments); \
        va_end(arguments); \
        return result; \
    }
UMNET_STRING_PRINT(A, PSTR, PCSTR)
UMNET_STRING_PRINT(W, PWSTR, PCWSTR)
#undef UMNET_STRING_PRINT

/* The extended forms: where the text ended, what room is left. */
UMNET_INLINE HRESULT UmnetEnd(HRESULT result, PWSTR to, size_t cch, PWSTR *end, size_t *rest)
{
    size_t length = 0;
    while (length + 1 < cch && to[length])
        length++;
    if (end)
        *end = to + length;
    if (rest)
        *rest = cch - length;
    return result;
}

UMNET_INLINE HRESULT StringCchCopyExW(PWSTR to, size_t cch, PCWSTR from, PWSTR *end, size_t *rest, DWORD flags)
{
    (void)flags;
    return UmnetEnd(StringCchCopyW(to, cch, from ? from : L""), to, cch, end, rest);
}

UMNET_INLINE HRESULT StringCchCopyNExW(PWSTR to, size_t cch, PCWSTR from, size_t n, PWSTR *end, size_t *rest, DWORD flags)
{
    (void)flags;
    return UmnetEnd(UmnetHresult(UmnetCopyW(to, cch, from ? from : L"", n)), to, cch, end, rest);
}

UMNET_INLINE HRESULT StringCchVPrintfExW(PWSTR to, size_t cch, PWSTR *end, size_t *rest, DWORD flags, PCWSTR format, va_list arguments)
{
    (void)flags;
    return UmnetEnd(StringCchVPrintfW(to, cch, format, arguments), to, cch, end, rest);
}

#ifndef __MINGW32__
/* How many characters a format makes. */
UMNET_INLINE int _vscwprintf(PCWSTR format, va_list arguments)
{
    char text[2048];
    size_t length = UmnetFormatWide(text, sizeof(text), "", format, arguments);
    return length < sizeof(text) ? (int)UmnetWiden(0, 0, text) : -1;
}

UMNET_INLINE int _vscprintf(PCSTR format, va_list arguments)
{
    return (int)UmnetFormat(0, 0, "", format, arguments);
}
#endif

/* A counted string over a terminated one, checked. */
UMNET_INLINE NTSTATUS RtlUnicodeStringInit(PUNICODE_STRING string, PCWSTR text)
{
    size_t length = text ? UmnetWideLength(text) : 0;
    if (length > UNICODE_STRING_MAX_CHARS)
        return STATUS_INVALID_PARAMETER;
    RtlInitUnicodeString(string, text);
    return STATUS_SUCCESS;
}

UMNET_EXTERN_C_END

#define RtlStringCchCopyA(to, cch, from) UmnetCopyA(to, cch, from, UMNET_ALL)
#define RtlStringCchCopyW(to, cch, from) UmnetCopyW(to, cch, from, UMNET_ALL)
#define RtlStringCbCopyA(to, cb, from) UmnetCopyA(to, cb, from, UMNET_ALL)
#define RtlStringCbCopyW(to, cb, from) UmnetCopyW(to, (cb) / sizeof(WCHAR), from, UMNET_ALL)
#define RtlStringCchCopyNA(to, cch, from, n) UmnetCopyA(to, cch, from, n)
#define RtlStringCchCopyNW(to, cch, from, n) UmnetCopyW(to, cch, from, n)
#define RtlStringCbCopyNW(to, cb, from, n) UmnetCopyW(to, (cb) / sizeof(WCHAR), from, (n) / sizeof(WCHAR))
#define RtlStringCchCatA(to, cch, from) UmnetCatA(to, cch, from, UMNET_ALL)
#define RtlStringCchCatW(to, cch, from) UmnetCatW(to, cch, from, UMNET_ALL)
#define RtlStringCbCatA(to, cb, from) UmnetCatA(to, cb, from, UMNET_ALL)
#define RtlStringCbCatW(to, cb, from) UmnetCatW(to, (cb) / sizeof(WCHAR), from, UMNET_ALL)
#define RtlStringCchLengthA(text, cch, length) UmnetLengthA(text, cch, length)
#define RtlStringCchLengthW(text, cch, length) UmnetLengthW(text, cch, length)
#define RtlStringCchPrintfA UmnetPrintA
#define RtlStringCchPrintfW UmnetPrintW
#define RtlStringCbPrintfA UmnetPrintA
#define RtlStringCbPrintfW(to, cb, ...) UmnetPrintW(to, (cb) / sizeof(WCHAR), __VA_ARGS__)
#define RtlStringCchVPrintfA UmnetPrintListA
#define RtlStringCchVPrintfW UmnetPrintListW
#endif
