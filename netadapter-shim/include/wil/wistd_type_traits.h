/* See common.h. */
#pragma GCC system_header
#include "common.h"
