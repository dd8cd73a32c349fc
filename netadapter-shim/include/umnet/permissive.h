/*
 * Read before everything else in C++. In Microsoft's mode, which lets a goto
 * pass an initialisation as their compiler does, clang leaves out what the
 * C++ library here builds upon, and claims to be that compiler.
 */
#ifndef UMNET_PERMISSIVE_H
#define UMNET_PERMISSIVE_H

#pragma GCC system_header

#ifndef __GCC_ATOMIC_INT_LOCK_FREE
#define __GCC_ATOMIC_BOOL_LOCK_FREE 2
#define __GCC_ATOMIC_CHAR_LOCK_FREE 2
#define __GCC_ATOMIC_CHAR16_T_LOCK_FREE 2
#define __GCC_ATOMIC_CHAR32_T_LOCK_FREE 2
#define __GCC_ATOMIC_WCHAR_T_LOCK_FREE 2
#define __GCC_ATOMIC_SHORT_LOCK_FREE 2
#define __GCC_ATOMIC_INT_LOCK_FREE 2
#define __GCC_ATOMIC_LONG_LOCK_FREE 2
#define __GCC_ATOMIC_LLONG_LOCK_FREE 2
#define __GCC_ATOMIC_POINTER_LOCK_FREE 2
#define __GCC_ATOMIC_TEST_AND_SET_TRUEVAL 1
#endif
#ifndef __GNUC__
#define __GNUC__ 4
#define __GNUC_MINOR__ 2
#define __GNUC_PATCHLEVEL__ 1
#define __GNUC_GNU_INLINE__ 1
#define __GNUG__ 4
#define __GXX_ABI_VERSION 1002
#define __GXX_EXPERIMENTAL_CXX0X__ 1
#define __GXX_WEAK__ 1
#endif
#ifndef __EXCEPTIONS
#define __EXCEPTIONS 1
#endif
#ifndef __GXX_RTTI
#define __GXX_RTTI 1
#endif
#ifndef __STDC__
#define __STDC__ 1
#endif
#ifndef __STRICT_ANSI__
#define __STRICT_ANSI__ 1
#endif
#undef _MSC_VER
#undef _MSC_FULL_VER
#undef _MSC_BUILD
#undef _MSC_EXTENSIONS
#undef _MSVC_LANG

#endif
