/*
 * Words of Microsoft's dialect that a compiler here may not know. clang with
 * -fms-extensions knows most of them itself; gcc needs all.
 */
#ifndef UMNET_DIALECT_H
#define UMNET_DIALECT_H

#pragma GCC system_header

/* Calling conventions: there is one. */
#define NTAPI
#define WINAPI
#define APIENTRY
#define CALLBACK
#define FASTCALL
#define WDFAPI
#define NTSYSAPI
#define NTKERNELAPI
#define WINBASEAPI
#define DECLSPEC_IMPORT
#define STDAPICALLTYPE
#ifndef __MINGW32__
#undef __cdecl
#undef __stdcall
#undef __fastcall
#undef __vectorcall
#define __cdecl
#define __stdcall
#define __fastcall
#define __vectorcall
#endif

#if !defined(__clang__) && !defined(__MINGW32__)
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#define __forceinline inline __attribute__((always_inline))
#define __declspec(what) UMNET_DECLSPEC_##what
#define UMNET_DECLSPEC_align(bytes) __attribute__((aligned(bytes)))
#define UMNET_DECLSPEC_noinline __attribute__((noinline))
#define UMNET_DECLSPEC_noreturn __attribute__((noreturn))
#define UMNET_DECLSPEC_selectany __attribute__((weak))
#define UMNET_DECLSPEC_dllexport __attribute__((visibility("default")))
#define UMNET_DECLSPEC_deprecated(...) __attribute__((deprecated))
#define UMNET_DECLSPEC_uuid(text)
#define UMNET_DECLSPEC_novtable
#define UMNET_DECLSPEC_empty_bases
#define UMNET_DECLSPEC_nothrow __attribute__((nothrow))
#define UMNET_DECLSPEC_restrict
#define UMNET_DECLSPEC_code_seg(name)
#define UMNET_DECLSPEC_allocate(name)
#define UMNET_DECLSPEC_thread __thread
#define UMNET_DECLSPEC_safebuffers
#define UMNET_DECLSPEC_guard(what)
#endif
#ifndef __inline
#define __inline inline
#endif
#ifndef _inline
#define _inline inline
#endif
#ifndef __unaligned
#define __unaligned
#endif
#define UNALIGNED __unaligned
#define RESTRICTED_POINTER __restrict
#define POINTER_64
#define MSC_PRAGMA(x)
#ifndef __MINGW32__
#define __w64
#define __pragma_ignored
#endif

#ifndef FORCEINLINE
#ifdef __cplusplus
#define FORCEINLINE inline __attribute__((always_inline))
#else
#define FORCEINLINE static inline __attribute__((always_inline, unused))
#endif
#endif
#define CFORCEINLINE FORCEINLINE
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_ALIGN(bytes) __attribute__((aligned(bytes)))
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(64)
#define DECLSPEC_SELECTANY __attribute__((weak))
#define DECLSPEC_EXPORT __attribute__((visibility("default")))
#define DECLSPEC_DEPRECATED __attribute__((deprecated))
#define DECLSPEC_UUID(text)
#define DECLSPEC_NOVTABLE

#ifdef __cplusplus
#define EXTERN_C extern "C"
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END }
#define UMNET_EXTERN_C_BEGIN extern "C" {
#define UMNET_EXTERN_C_END }
#define UMNET_STATIC_ASSERT(condition, message) static_assert(condition, message)
#else
#define EXTERN_C extern
#define EXTERN_C_START
#define EXTERN_C_END
#define UMNET_EXTERN_C_BEGIN
#define UMNET_EXTERN_C_END
#define UMNET_STATIC_ASSERT(condition, message) _Static_assert(condition, message)
/* Microsoft's C compiler knows the word without assert.h. */
#ifndef static_assert
#define static_assert _Static_assert
#endif
#endif

/* Inline functions of these headers. In C++ they have linkage, as templates
 * that take them as arguments must be the same in every translation unit. */
#ifdef __cplusplus
#define UMNET_INLINE inline __attribute__((visibility("hidden")))
#else
#define UMNET_INLINE static inline __attribute__((unused))
#endif

/* An opaque object handle: a pointer to a structure of its own. */
#define DECLARE_HANDLE(name) struct name##__; typedef struct name##__ *name
#define DECLARE_OPAQUE_HANDLE(name) DECLARE_HANDLE(name)

/* Microsoft's compiler has these built in. */
#define __assume(condition) ((void)0)
#define __debugbreak() __builtin_trap()
#define __noop(...) ((void)0)
#define __CLR_OR_THIS_CALL
#define __CLRCALL_OR_CDECL
#ifndef __FUNCTIONW__
#define UMNET_WIDEN2(text) L##text
#define UMNET_WIDEN(text) UMNET_WIDEN2(text)
#define __FILEW__ UMNET_WIDEN(__FILE__)
#endif

#endif
