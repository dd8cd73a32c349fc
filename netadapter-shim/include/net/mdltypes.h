/* A fragment's memory descriptor list: see mdl.h. */
#pragma GCC system_header
#include "mdl.h"
