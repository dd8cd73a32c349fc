/* See lso.h. */
#pragma GCC system_header
#include "lso.h"
