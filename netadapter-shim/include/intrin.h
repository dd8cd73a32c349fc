/* Compiler intrinsics under Microsoft's names. */
#ifndef UMNET_INTRIN_H
#define UMNET_INTRIN_H

#pragma GCC system_header

#include "umnet/common.h"

#define _ReturnAddress() __builtin_return_address(0)
#define _AddressOfReturnAddress() ((void *)((char *)__builtin_frame_address(0) + sizeof(void *)))
#define __fastfail(code) __builtin_trap()
#define __nop() __asm__ volatile("nop")
#define _InterlockedIncrement InterlockedIncrement
#define _InterlockedDecrement InterlockedDecrement
#define _InterlockedExchange InterlockedExchange
#define _InterlockedExchangeAdd InterlockedExchangeAdd
#define _InterlockedCompareExchange InterlockedCompareExchange
#define _InterlockedCompareExchange64 InterlockedCompareExchange64
#define _InterlockedOr InterlockedOr
#define _InterlockedAnd InterlockedAnd

#endif
