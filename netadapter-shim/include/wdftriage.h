/* Nothing of a debugger's is here. */
#pragma GCC system_header
#include "wdf.h"
