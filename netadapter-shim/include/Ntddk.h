/* ntddk.h, by another spelling. */
#pragma GCC system_header
#include "ntddk.h"
