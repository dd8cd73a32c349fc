/* ntstatus.h, by another spelling. */
#pragma GCC system_header
#include "ntstatus.h"
