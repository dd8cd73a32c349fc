/* Well-known security descriptors: see ntddk.h. */
#pragma GCC system_header
#include "ntddk.h"
