/* See netadaptercx.h. */
#pragma GCC system_header
#include "../netadaptercx.h"
