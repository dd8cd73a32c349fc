/* See checksum.h. */
#pragma GCC system_header
#include "checksum.h"
