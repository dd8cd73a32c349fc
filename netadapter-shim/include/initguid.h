/* From here on, DEFINE_GUID and DEFINE_DEVPROPKEY define what they declare. */
#pragma GCC system_header
#ifndef INITGUID
#define INITGUID
#endif
#include "umnet/base.h"
#include "umnet/guid.h"
#ifdef UMNET_DEVPROPKEY_H
#include "umnet/devpropkey.h"
#endif
