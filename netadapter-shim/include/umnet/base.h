/*
 * The types everything else is written in, with the sizes they have on 64-bit
 * Windows: LONG, ULONG and enumerations have 32 bits whatever the size of a C
 * long is, and WCHAR is wchar_t, of 16 bits.
 *
 * UINT64, ULONG_PTR, SIZE_T and size_t are one type here, as they are there.
 */
#ifndef UMNET_BASE_H
#define UMNET_BASE_H

#pragma GCC system_header

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __SIZEOF_WCHAR_T__ != 2
#error "wchar_t must have 16 bits: compile with -fshort-wchar (umnet client-flags prints the flags)"
#endif
#if __SIZEOF_POINTER__ != 8
#error "only 64-bit targets are supported"
#endif

/* What a compiler for Windows says of itself. _WIN32 is not among them: the C++
 * library here would take it for an operating system. */
#ifndef _WIN64
#define _WIN64 1
#endif
#if defined(__x86_64__)
#ifndef _M_AMD64
#define _M_AMD64 100
#define _M_X64 100
#endif
#ifndef _AMD64_
#define _AMD64_ 1
#endif
#elif defined(__aarch64__)
#ifndef _M_ARM64
#define _M_ARM64 1
#endif
#ifndef _ARM64_
#define _ARM64_ 1
#endif
#endif

#include "dialect.h"
#include "../sal.h"

#define CONST const
#ifndef VOID
#define VOID void
#endif
typedef void *PVOID, *LPVOID;
typedef const void *LPCVOID;

typedef char CHAR, *PCHAR, *PSTR, *LPSTR, CCHAR;
typedef const char *PCSTR, *LPCSTR, *PCSZ;
typedef signed char INT8, *PINT8;
typedef unsigned char UCHAR, *PUCHAR, UINT8, *PUINT8, BYTE, *PBYTE, *LPBYTE, BOOLEAN, *PBOOLEAN;
typedef int16_t SHORT, *PSHORT, INT16, *PINT16;
typedef uint16_t USHORT, *PUSHORT, UINT16, *PUINT16, WORD, *PWORD, *LPWORD;
typedef int32_t INT, *PINT, LONG, *PLONG, *LPLONG, INT32, *PINT32, LONG32, *PLONG32, BOOL, *PBOOL, *LPBOOL;
typedef uint32_t UINT, *PUINT, ULONG, *PULONG, UINT32, *PUINT32, ULONG32, *PULONG32, DWORD, *PDWORD, *LPDWORD, DWORD32;
typedef int64_t LONGLONG, *PLONGLONG, LONG64, *PLONG64, INT64, *PINT64;
typedef uint64_t ULONGLONG, *PULONGLONG, ULONG64, *PULONG64, UINT64, *PUINT64, DWORD64, *PDWORD64, DWORDLONG;
typedef intptr_t INT_PTR, *PINT_PTR, LONG_PTR, *PLONG_PTR, SSIZE_T, *PSSIZE_T;
typedef uintptr_t UINT_PTR, *PUINT_PTR, ULONG_PTR, *PULONG_PTR, DWORD_PTR, *PDWORD_PTR;
typedef size_t SIZE_T, *PSIZE_T;
typedef ULONG_PTR KAFFINITY, *PKAFFINITY;
typedef float FLOAT;
typedef double DOUBLE;

typedef wchar_t WCHAR, *PWCHAR, *PWSTR, *LPWSTR, *PWCH, *LPWCH;
typedef const wchar_t *PCWSTR, *LPCWSTR, *PCWCH, *LPCWCH, *PCNZWCH, *PCUNZWCH;
typedef const char *PCNZCH, *PCCH, *LPCCH;
typedef PCWSTR PCZZWSTR;
typedef PWSTR PZZWSTR;

typedef void *HANDLE, **PHANDLE;
typedef LONG NTSTATUS, *PNTSTATUS;
typedef LONG HRESULT;
typedef ULONG ACCESS_MASK, *PACCESS_MASK;
typedef ULONG LCID;

#define TRUE 1
#define FALSE 0

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef struct _GUID {
    UINT32 Data1;
    UINT16 Data2;
    UINT16 Data3;
    UINT8 Data4[8];
} GUID, *LPGUID;

typedef struct _UNICODE_STRING {
    USHORT Length;              /* bytes in use, without a terminator */
    USHORT MaximumLength;       /* bytes */
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _STRING {
    USHORT Length;
    USHORT MaximumLength;
    PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING;
typedef const STRING *PCANSI_STRING;

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _GROUP_AFFINITY {
    KAFFINITY Mask;
    USHORT Group;
    USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

typedef struct _PROCESSOR_NUMBER {
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

#endif
