/* traceloggingprovider.h, by another spelling. */
#pragma GCC system_header
#include "traceloggingprovider.h"
