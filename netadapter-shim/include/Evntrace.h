/* evntrace.h, by another spelling. */
#pragma GCC system_header
#include "evntrace.h"
