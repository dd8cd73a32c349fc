/* NTSTATUS values. Negative ones are failures. */
#ifndef UMNET_NTSTATUS_H
#define UMNET_NTSTATUS_H

#pragma GCC system_header

#include "umnet/base.h"

#define UMNET_STATUS(code) ((NTSTATUS)(code))

#include "umnet/status_error.h"
#include "umnet/status_error2.h"
#include "umnet/status_success.h"

#endif
