/* initguid.h, by another spelling. */
#pragma GCC system_header
#include "initguid.h"
