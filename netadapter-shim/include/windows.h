/*
 * What user-mode drivers take from windows.h: base types, memory, interlocked
 * operations, threads, events, locks, clocks.
 */
#ifndef UMNET_WINDOWS_H
#define UMNET_WINDOWS_H

#pragma GCC system_header

#include "umnet/common.h"
#include "umnet/bind.h"
#include "umnet/win32.h"

#endif
