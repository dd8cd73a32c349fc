/* sal.h, by another spelling. */
#pragma GCC system_header
#include "sal.h"
