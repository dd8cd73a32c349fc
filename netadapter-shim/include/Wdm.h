/* wdm.h, by another spelling. */
#pragma GCC system_header
#include "wdm.h"
