/* Trace levels. */
#pragma GCC system_header
#include "umnet/trace.h"
