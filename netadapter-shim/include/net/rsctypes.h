/* See rsc.h. */
#pragma GCC system_header
#include "rsc.h"
