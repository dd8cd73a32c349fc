/* strsafe.h, by another spelling. */
#pragma GCC system_header
#include "strsafe.h"
