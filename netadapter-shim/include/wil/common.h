/* What the rest stands on: wistd is the standard library by another name. */
#ifndef __WIL_COMMON_INCLUDED
#define __WIL_COMMON_INCLUDED

#pragma GCC system_header

#ifndef __cplusplus
#error "these headers are for C++"
#endif

#include "../umnet/common.h"

extern "C++" {
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
namespace wistd = std;
}

#define WI_NOEXCEPT noexcept
#define WI_NODISCARD [[nodiscard]]
#define WI_IsFlagSet(value, flag) (((value) & (flag)) != 0)
#define WI_IsFlagClear(value, flag) (((value) & (flag)) == 0)
#define WI_IsAnyFlagSet(value, flags) (((value) & (flags)) != 0)
#define WI_AreAllFlagsSet(value, flags) (((value) & (flags)) == (flags))
#define WI_SetFlag(value, flag) ((value) |= (flag))
#define WI_SetAllFlags(value, flags) ((value) |= (flags))
#define WI_ClearFlag(value, flag) ((value) &= ~(flag))
#define WI_ClearAllFlags(value, flags) ((value) &= ~(flags))

#endif
