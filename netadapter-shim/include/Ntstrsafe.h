/* ntstrsafe.h, by another spelling. */
#pragma GCC system_header
#include "ntstrsafe.h"
