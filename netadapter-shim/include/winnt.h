/* Part of windows.h. */
#pragma GCC system_header
#include "windows.h"
