/* windef.h, by another spelling. */
#pragma GCC system_header
#include "windef.h"
