/* ntintsafe.h, by another spelling. */
#pragma GCC system_header
#include "ntintsafe.h"
