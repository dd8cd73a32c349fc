/* windows.h, by another spelling. */
#pragma GCC system_header
#include "windows.h"
