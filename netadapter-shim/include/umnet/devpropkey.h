/* Keys of device properties. After initguid.h, DEFINE_DEVPROPKEY defines. */
#pragma GCC system_header

#include "base.h"

#undef DEFINE_DEVPROPKEY
#ifdef INITGUID
#ifdef __cplusplus
#define UMNET_DEVPROPKEY_LINKAGE extern "C"
#else
#define UMNET_DEVPROPKEY_LINKAGE
#endif
#define DEFINE_DEVPROPKEY(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8, pid) \
    UMNET_DEVPROPKEY_LINKAGE __attribute__((weak, visibility("hidden"))) const DEVPROPKEY name = \
        { { l, w1, w2, { b1, b2, b3, b4, b5, b6, b7, b8 } }, pid }
#else
#define DEFINE_DEVPROPKEY(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8, pid) \
    EXTERN_C __attribute__((visibility("hidden"))) const DEVPROPKEY name
#endif

#ifndef UMNET_DEVPROPKEY_H
#define UMNET_DEVPROPKEY_H

typedef GUID DEVPROPGUID;
typedef ULONG DEVPROPID;
typedef ULONG DEVPROPTYPE, *PDEVPROPTYPE;
typedef struct _DEVPROPKEY {
    DEVPROPGUID fmtid;
    DEVPROPID pid;
} DEVPROPKEY, *PDEVPROPKEY;

#define DEVPROP_TYPE_EMPTY 0x00000000
#define DEVPROP_TYPE_NULL 0x00000001
#define DEVPROP_TYPE_BYTE 0x00000003
#define DEVPROP_TYPE_UINT16 0x00000005
#define DEVPROP_TYPE_INT32 0x00000006
#define DEVPROP_TYPE_UINT32 0x00000007
#define DEVPROP_TYPE_UINT64 0x00000009
#define DEVPROP_TYPE_GUID 0x0000000D
#define DEVPROP_TYPE_BOOLEAN 0x00000011
#define DEVPROP_TYPE_STRING 0x00000012
#define DEVPROP_TYPE_STRING_LIST 0x00002012
#define DEVPROP_TYPE_BINARY 0x00001003
#define DEVPROP_TRUE ((CHAR)-1)
#define DEVPROP_FALSE ((CHAR)0)
#define PLUGPLAY_PROPERTY_PERSISTENT 1

#endif
