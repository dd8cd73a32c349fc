/* A driver-managed buffer's own handle: see returncontext.h. */
#pragma GCC system_header
#include "returncontext.h"
