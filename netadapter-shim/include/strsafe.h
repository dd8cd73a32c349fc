/* Bounded strings: see ntstrsafe.h. */
#pragma GCC system_header
#include "windows.h"
#include "umnet/strsafe.h"
