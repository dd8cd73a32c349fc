/* intsafe.h, by another spelling. */
#pragma GCC system_header
#include "intsafe.h"
