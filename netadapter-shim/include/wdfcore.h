/* See wdf.h. */
#pragma GCC system_header
#include "wdf.h"
