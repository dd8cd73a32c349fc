/* Source annotations: see sal.h. */
#pragma GCC system_header
#include "sal.h"
