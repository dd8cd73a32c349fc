/* See ieee8021q.h. */
#pragma GCC system_header
#include "ieee8021q.h"
