/* See gso.h. */
#pragma GCC system_header
#include "gso.h"
