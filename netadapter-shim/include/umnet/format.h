/*
 * Formatting by the rules of Windows' printf family, into a bounded buffer.
 * What differs from the C library here: l means 32 bits, I64 and I32 are
 * sizes, %S and %ws and %ls are 16-bit text, %wZ and %Z counted strings, and
 * the tracing forms %!FUNC!, %!STATUS! and their like are known.
 */
#ifndef UMNET_FORMAT_H
#define UMNET_FORMAT_H

#pragma GCC system_header

#include <stdio.h>

#include "base.h"

UMNET_EXTERN_C_BEGIN

/* Where output goes; what does not fit is left out. */
struct UmnetOutput {
    char *text;
    size_t room;                /* bytes, the terminator's among them */
    size_t length;              /* what all of it would have needed */
    int wide;                   /* the format was 16-bit: %s is, too, %S is not */
};

UMNET_INLINE void UmnetPut(struct UmnetOutput *out, char c)
{
    if (out->length + 1 < out->room)
        out->text[out->length] = c;
    out->length++;
}

UMNET_INLINE void UmnetPutText(struct UmnetOutput *out, const char *text, size_t limit)
{
    while (limit-- && *text)
        UmnetPut(out, *text++);
}

/* 16-bit text as UTF-8. A surrogate that has no partner becomes U+FFFD. */
UMNET_INLINE void UmnetPutWide(struct UmnetOutput *out, const WCHAR *text, size_t units)
{
    size_t i;
    for (i = 0; i < units && text[i]; i++) {
        UINT32 c = text[i];
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < units && text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000)
            c = 0x10000 + ((c - 0xD800) << 10) + ((UINT32)text[++i] - 0xDC00);
        else if (c >= 0xD800 && c < 0xE000)
            c = 0xFFFD;
        if (c < 0x80) {
            UmnetPut(out, (char)c);
            continue;
        }
        if (c >= 0x10000) {
            UmnetPut(out, (char)(0xF0 | c >> 18));
            UmnetPut(out, (char)(0x80 | (c >> 12 & 0x3F)));
        } else if (c >= 0x800) {
            UmnetPut(out, (char)(0xE0 | c >> 12));
        }
        if (c >= 0x800)
            UmnetPut(out, (char)(0x80 | (c >> 6 & 0x3F)));
        else
            UmnetPut(out, (char)(0xC0 | c >> 6));
        UmnetPut(out, (char)(0x80 | (c & 0x3F)));
    }
}

/* One conversion: flags and widths as written, the size said in letters. */
struct UmnetConversion {
    char plain[40];             /* for the C library: % flags width .precision */
    size_t length;
    int precision;              /* -1: none */
    int bits;                   /* of an integer */
    int wide;                   /* text: 1 16-bit, 0 not, -1 as the letter says */
};

UMNET_INLINE void UmnetKeep(struct UmnetConversion *c, char letter)
{
    if (c->length + 4 < sizeof(c->plain))
        c->plain[c->length++] = letter;
}

UMNET_INLINE const char *UmnetSizePrefix(struct UmnetConversion *c, const char *p)
{
    for (;; p++) {
        if (*p == 'h') {
            c->wide = 0;
            c->bits = c->bits == 16 ? 8 : 16;
        } else if (*p == 'l') {
            c->bits = p[1] == 'l' ? 64 : c->bits;
            c->wide = 1;
        } else if (*p == 'w') {
            c->wide = 1;
        } else if (*p == 'I' && p[1] == '6' && p[2] == '4') {
            c->bits = 64;
            p += 2;
        } else if (*p == 'I' && p[1] == '3' && p[2] == '2') {
            p += 2;
        } else if (*p == 'I' || *p == 'z' || *p == 'j' || *p == 't') {
            c->bits = 64;
        } else if (*p != 'L') {
            return p;
        }
    }
}

UMNET_INLINE void UmnetPutPlain(struct UmnetOutput *out, struct UmnetConversion *c, const char *size, char letter, unsigned long long value)
{
    char text[128];
    while (*size)
        UmnetKeep(c, *size++);
    c->plain[c->length] = letter;
    c->plain[c->length + 1] = 0;
    snprintf(text, sizeof(text), c->plain, value);
    UmnetPutText(out, text, sizeof(text));
}

UMNET_INLINE unsigned long long UmnetNarrowed(unsigned long long value, int bits, int isSigned)
{
    int shift = 64 - bits;
    if (bits >= 64)
        return value;
    if (isSigned)
        return (unsigned long long)((long long)(value << shift) >> shift);
    return value << shift >> shift;
}

/* The tracing forms between exclamation marks. TRUE: known, and written. */
UMNET_INLINE void UmnetPutTraceForm(struct UmnetOutput *out, const char *name, size_t length, const char *function, va_list *arguments)
{
    char text[48];
    if (length == 4 && !memcmp(name, "FUNC", 4)) {
        UmnetPutText(out, function, 256);
        return;
    }
    if (length >= 4 && (!memcmp(name, "GUID", 4) || (length == 9 && !memcmp(name, "CLSID", 5)))) {
        const GUID *g = va_arg(*arguments, const GUID *);
        if (g)
            snprintf(text, sizeof(text), "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", g->Data1, g->Data2, g->Data3,
                     g->Data4[0], g->Data4[1], g->Data4[2], g->Data4[3], g->Data4[4], g->Data4[5], g->Data4[6], g->Data4[7]);
        UmnetPutText(out, g ? text : "(null)", sizeof(text));
        return;
    }
    if (length == 1 && (*name == 's' || *name == 'S')) {
        const void *t = va_arg(*arguments, const void *);
        if (*name == 's')
            UmnetPutText(out, t ? (const char *)t : "(null)", 512);
        else
            UmnetPutWide(out, t ? (const WCHAR *)t : L"(null)", 512);
        return;
    }
    if (length == 4 && !memcmp(name, "bool", 4)) {
        UmnetPutText(out, va_arg(*arguments, int) & 0xFF ? "true" : "false", 8);
        return;
    }
    if (length == 6 && !memcmp(name, "IPADDR", 6)) {
        UINT32 a = va_arg(*arguments, UINT32);
        snprintf(text, sizeof(text), "%u.%u.%u.%u", a & 255, a >> 8 & 255, a >> 16 & 255, a >> 24);
    } else {
        snprintf(text, sizeof(text), "0x%08x", va_arg(*arguments, UINT32));
    }
    UmnetPutText(out, text, sizeof(text));
}

UMNET_INLINE void UmnetPutConversion(struct UmnetOutput *out, struct UmnetConversion *c, char letter, va_list *arguments)
{
    size_t limit = c->precision < 0 ? (size_t)512 : (size_t)c->precision;
    const void *text;
    switch (letter) {
    case 'd':
    case 'i':
        UmnetPutPlain(out, c, "ll", 'd', UmnetNarrowed(c->bits == 64 ? va_arg(*arguments, unsigned long long) : va_arg(*arguments, unsigned), c->bits, 1));
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        UmnetPutPlain(out, c, "ll", letter, UmnetNarrowed(c->bits == 64 ? va_arg(*arguments, unsigned long long) : va_arg(*arguments, unsigned), c->bits, 0));
        break;
    case 'p':
        c->length = 1;
        UmnetPutPlain(out, c, "016ll", 'X', (unsigned long long)(uintptr_t)va_arg(*arguments, void *));
        break;
    case 'c':
    case 'C': {
        WCHAR unit = (WCHAR)va_arg(*arguments, int);
        UmnetPutWide(out, &unit, 1);
        break;
    }
    case 's':
    case 'S':
        text = va_arg(*arguments, const void *);
        if (!text)
            UmnetPutText(out, "(null)", 6);
        else if (c->wide == 1 || (c->wide < 0 && (letter == 'S') != out->wide))
            UmnetPutWide(out, (const WCHAR *)text, limit);
        else
            UmnetPutText(out, (const char *)text, limit);
        break;
    case 'Z':
        text = va_arg(*arguments, const void *);
        if (text && c->wide == 1)
            UmnetPutWide(out, ((const UNICODE_STRING *)text)->Buffer, ((const UNICODE_STRING *)text)->Length / sizeof(WCHAR));
        else if (text)
            UmnetPutText(out, ((const STRING *)text)->Buffer, ((const STRING *)text)->Length);
        break;
    case 'e':
    case 'f':
    case 'g':
    case 'E':
    case 'G': {
        char number[128];
        c->plain[c->length] = letter;
        c->plain[c->length + 1] = 0;
        snprintf(number, sizeof(number), c->plain, va_arg(*arguments, double));
        UmnetPutText(out, number, sizeof(number));
        break;
    }
    default:
        UmnetPut(out, letter);
    }
}

/* Reads flags, width and precision; `*` takes an argument. */
UMNET_INLINE const char *UmnetWidths(struct UmnetConversion *c, const char *p, va_list *arguments)
{
    int afterDot = 0;
    for (;; p++) {
        if (*p == '*') {
            char number[16];
            int value = va_arg(*arguments, int);
            size_t i;
            snprintf(number, sizeof(number), "%d", value);
            for (i = 0; number[i]; i++)
                UmnetKeep(c, number[i]);
            if (afterDot)
                c->precision = value;
        } else if (*p == '.') {
            afterDot = 1;
            c->precision = 0;
            UmnetKeep(c, '.');
        } else if (*p && strchr("0123456789-+ #", *p)) {
            if (afterDot && *p >= '0' && *p <= '9' && c->precision < 100000)
                c->precision = c->precision * 10 + (*p - '0');
            UmnetKeep(c, *p);
        } else {
            return p;
        }
    }
}

/* Formats into text[size], always terminated. Returns the bytes that all of it
 * needs without the terminator. */
UMNET_INLINE size_t UmnetFormatList(char *text, size_t size, int wide, const char *function, const char *format, va_list *arguments)
{
    struct UmnetOutput out = { text, size, 0, wide };
    const char *p = format;
    while (*p) {
        struct UmnetConversion c = { { '%' }, 1, -1, 32, -1 };
        if (*p != '%') {
            UmnetPut(&out, *p++);
            continue;
        }
        p++;
        if (*p == '!' && strchr(p + 1, '!')) {
            const char *end = strchr(p + 1, '!');
            UmnetPutTraceForm(&out, p + 1, (size_t)(end - p - 1), function, arguments);
            p = end + 1;
            continue;
        }
        p = UmnetWidths(&c, p, arguments);
        p = UmnetSizePrefix(&c, p);
        if (!*p)
            break;
        UmnetPutConversion(&out, &c, *p++, arguments);
    }
    if (size)
        text[out.length < size ? out.length : size - 1] = 0;
    return out.length;
}

UMNET_INLINE size_t UmnetFormat(char *text, size_t size, const char *function, const char *format, va_list arguments)
{
    va_list own;
    size_t length;
    va_copy(own, arguments);
    length = UmnetFormatList(text, size, 0, function, format, &own);
    va_end(own);
    return length;
}

/* The same with a 16-bit format. */
UMNET_INLINE size_t UmnetFormatWide(char *text, size_t size, const char *function, const WCHAR *format, va_list arguments)
{
    char narrow[1024];
    struct UmnetOutput out = { narrow, sizeof(narrow), 0, 0 };
    va_list own;
    size_t length;
    UmnetPutWide(&out, format, sizeof(narrow));
    narrow[out.length < sizeof(narrow) ? out.length : sizeof(narrow) - 1] = 0;
    va_copy(own, arguments);
    length = UmnetFormatList(text, size, 1, function, narrow, &own);
    va_end(own);
    return length;
}

UMNET_EXTERN_C_END

#endif
