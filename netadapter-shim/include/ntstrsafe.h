/* Bounded strings that answer with an NTSTATUS. */
#pragma GCC system_header
#include "umnet/nt.h"
#include "umnet/strsafe.h"
