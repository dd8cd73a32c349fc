/* winbase.h, by another spelling. */
#pragma GCC system_header
#include "winbase.h"
