/* See net/netringiterator.h, which sources usually bring themselves. */
#pragma GCC system_header
#include "../umnet/netringiterator.h"
