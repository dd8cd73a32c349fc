/* See packethash.h. */
#pragma GCC system_header
#include "packethash.h"
