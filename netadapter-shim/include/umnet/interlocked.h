/*
 * Interlocked operations and memory barriers, over the compiler's atomics. The
 * plain names are full barriers; Acquire, Release and NoFence say less.
 */
#ifndef UMNET_INTERLOCKED_H
#define UMNET_INTERLOCKED_H

#pragma GCC system_header

#include "base.h"

UMNET_EXTERN_C_BEGIN

/* One operation: NAME returns what EXPRESSION is. */
#define UMNET_INTERLOCKED_1(name, type, expression) \
    UMNET_INLINE type name(type volatile *target) { return expression; }
#define UMNET_INTERLOCKED_2(name, type, expression) \
    UMNET_INLINE type name(type volatile *target, type value) { return expression; }

#define UMNET_INTERLOCKED_ORDER(type, width, suffix, order) \
    UMNET_INTERLOCKED_1(InterlockedIncrement##width##suffix, type, __atomic_add_fetch(target, 1, order)) \
    UMNET_INTERLOCKED_1(InterlockedDecrement##width##suffix, type, __atomic_sub_fetch(target, 1, order)) \
    UMNET_INTERLOCKED_2(InterlockedExchange##width##suffix, type, __atomic_exchange_n(target, value, order)) \
    UMNET_INTERLOCKED_2(InterlockedExchangeAdd##width##suffix, type, __atomic_fetch_add(target, value, order)) \
    UMNET_INTERLOCKED_2(InterlockedAnd##width##suffix, type, __atomic_fetch_and(target, value, order)) \
    UMNET_INTERLOCKED_2(InterlockedOr##width##suffix, type, __atomic_fetch_or(target, value, order)) \
    UMNET_INTERLOCKED_2(InterlockedXor##width##suffix, type, __atomic_fetch_xor(target, value, order)) \
    UMNET_INLINE type InterlockedCompareExchange##width##suffix(type volatile *target, type exchange, type comparand) \
    { \
        __atomic_compare_exchange_n(target, &comparand, exchange, 0, order, __ATOMIC_RELAXED); \
        return comparand; \
    }

#define UMNET_INTERLOCKED(type, width) \
    UMNET_INTERLOCKED_ORDER(type, width, , __ATOMIC_SEQ_CST) \
    UMNET_INTERLOCKED_ORDER(type, width, Acquire, __ATOMIC_ACQUIRE) \
    UMNET_INTERLOCKED_ORDER(type, width, Release, __ATOMIC_RELEASE) \
    UMNET_INTERLOCKED_ORDER(type, width, NoFence, __ATOMIC_RELAXED)

UMNET_INTERLOCKED(LONG, )
UMNET_INTERLOCKED(LONG64, 64)
UMNET_INTERLOCKED(SHORT, 16)

/* Add returns the sum, ExchangeAdd what was there. */
UMNET_INTERLOCKED_2(InterlockedAdd, LONG, __atomic_add_fetch(target, value, __ATOMIC_SEQ_CST))
UMNET_INTERLOCKED_2(InterlockedAddNoFence, LONG, __atomic_add_fetch(target, value, __ATOMIC_RELAXED))
UMNET_INTERLOCKED_2(InterlockedAdd64, LONG64, __atomic_add_fetch(target, value, __ATOMIC_SEQ_CST))
UMNET_INTERLOCKED_2(InterlockedAddNoFence64, LONG64, __atomic_add_fetch(target, value, __ATOMIC_RELAXED))

/* The width comes before the order in these names. */
#define InterlockedExchangeNoFence64 InterlockedExchange64NoFence
#define InterlockedExchangeAddNoFence64 InterlockedExchangeAdd64NoFence
#define InterlockedIncrementNoFence64 InterlockedIncrement64NoFence
#define InterlockedDecrementNoFence64 InterlockedDecrement64NoFence
#define InterlockedCompareExchangeNoFence64 InterlockedCompareExchange64NoFence
#define InterlockedIncrementAcquire64 InterlockedIncrement64Acquire
#define InterlockedDecrementRelease64 InterlockedDecrement64Release
#define InterlockedExchange8(target, value) __atomic_exchange_n((target), (CHAR)(value), __ATOMIC_SEQ_CST)

UMNET_INLINE PVOID InterlockedExchangePointer(PVOID volatile *target, PVOID value)
{
    return __atomic_exchange_n(target, value, __ATOMIC_SEQ_CST);
}

UMNET_INLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *target, PVOID exchange, PVOID comparand)
{
    __atomic_compare_exchange_n(target, &comparand, exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    return comparand;
}

#define InterlockedExchangePointerNoFence InterlockedExchangePointer
#define InterlockedCompareExchangePointerNoFence InterlockedCompareExchangePointer
#define InterlockedCompareExchangePointerAcquire InterlockedCompareExchangePointer
#define InterlockedCompareExchangePointerRelease InterlockedCompareExchangePointer

UMNET_INLINE UCHAR InterlockedBitTestAndSet(LONG volatile *base, LONG bit)
{
    LONG mask = (LONG)(1u << (bit & 31));
    return (__atomic_fetch_or(base + bit / 32, mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

UMNET_INLINE UCHAR InterlockedBitTestAndReset(LONG volatile *base, LONG bit)
{
    LONG mask = (LONG)(1u << (bit & 31));
    return (__atomic_fetch_and(base + bit / 32, ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

/* Typed loads and stores with an order: Read/Write TYPE NoFence/Acquire/Release/Raw. */
#define UMNET_ORDERED(name, type) \
    UMNET_INLINE type Read##name##NoFence(type const volatile *source) { return __atomic_load_n(source, __ATOMIC_RELAXED); } \
    UMNET_INLINE type Read##name##Raw(type const volatile *source) { return __atomic_load_n(source, __ATOMIC_RELAXED); } \
    UMNET_INLINE type Read##name##Acquire(type const volatile *source) { return __atomic_load_n(source, __ATOMIC_ACQUIRE); } \
    UMNET_INLINE void Write##name##NoFence(type volatile *target, type value) { __atomic_store_n(target, value, __ATOMIC_RELAXED); } \
    UMNET_INLINE void Write##name##Raw(type volatile *target, type value) { __atomic_store_n(target, value, __ATOMIC_RELAXED); } \
    UMNET_INLINE void Write##name##Release(type volatile *target, type value) { __atomic_store_n(target, value, __ATOMIC_RELEASE); }

UMNET_ORDERED(Boolean, BOOLEAN)
UMNET_ORDERED(UChar, UCHAR)
UMNET_ORDERED(Short, SHORT)
UMNET_ORDERED(UShort, USHORT)
UMNET_ORDERED(Long, LONG)
UMNET_ORDERED(ULong, ULONG)
UMNET_ORDERED(Long64, LONG64)
UMNET_ORDERED(ULong64, ULONG64)
UMNET_ORDERED(SizeT, SIZE_T)
UMNET_ORDERED(Pointer, PVOID)

UMNET_INLINE void MemoryBarrier(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#define _ReadWriteBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define _ReadBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define _WriteBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

UMNET_INLINE void YieldProcessor(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

UMNET_EXTERN_C_END

/* A C long counts as well: 32 bits there, 64 here. */
#ifdef __cplusplus
extern "C++" {
#define UMNET_INTERLOCKED_LONG(name, expression) \
    inline long name(long volatile *target) { return expression; }
#define UMNET_INTERLOCKED_LONG_ORDER(suffix, order) \
    UMNET_INTERLOCKED_LONG(InterlockedIncrement##suffix, __atomic_add_fetch(target, 1, order)) \
    UMNET_INTERLOCKED_LONG(InterlockedDecrement##suffix, __atomic_sub_fetch(target, 1, order)) \
    inline long InterlockedExchange##suffix(long volatile *target, long value) { return __atomic_exchange_n(target, value, order); } \
    inline long InterlockedExchangeAdd##suffix(long volatile *target, long value) { return __atomic_fetch_add(target, value, order); } \
    inline long InterlockedAnd##suffix(long volatile *target, long value) { return __atomic_fetch_and(target, value, order); } \
    inline long InterlockedOr##suffix(long volatile *target, long value) { return __atomic_fetch_or(target, value, order); } \
    inline long InterlockedCompareExchange##suffix(long volatile *target, long exchange, long comparand) \
    { \
        __atomic_compare_exchange_n(target, &comparand, exchange, 0, order, __ATOMIC_RELAXED); \
        return comparand; \
    }
#ifndef __MINGW32__
UMNET_INTERLOCKED_LONG_ORDER(, __ATOMIC_SEQ_CST)
UMNET_INTERLOCKED_LONG_ORDER(Acquire, __ATOMIC_ACQUIRE)
UMNET_INTERLOCKED_LONG_ORDER(Release, __ATOMIC_RELEASE)
UMNET_INTERLOCKED_LONG_ORDER(NoFence, __ATOMIC_RELAXED)
#endif
}
#endif

#endif
