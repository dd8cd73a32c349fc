/* Assertions. */
#pragma GCC system_header
#include "umnet/nt.h"
