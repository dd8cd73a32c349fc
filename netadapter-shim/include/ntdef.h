/* NT's base types. */
#pragma GCC system_header
#include "umnet/nt.h"
