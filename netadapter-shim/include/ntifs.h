/* See ntddk.h. */
#pragma GCC system_header
#include "ntddk.h"
