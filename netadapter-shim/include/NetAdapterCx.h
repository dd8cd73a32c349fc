/* netadaptercx.h, by another spelling. */
#pragma GCC system_header
#include "netadaptercx.h"
