/* wdf.h, by another spelling. */
#pragma GCC system_header
#include "wdf.h"
