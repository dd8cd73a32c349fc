/* A fragment's address on the bus: see logicaladdress.h. */
#pragma GCC system_header
#include "logicaladdress.h"
