/* The in-memory recorder: tracing goes to the host's log. */
#pragma GCC system_header
#include "umnet/trace.h"
