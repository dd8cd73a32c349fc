/*
 * GUIDs. DEFINE_GUID declares one; after initguid.h it defines it. Each
 * definition is weak, as several translation units may hold it.
 *
 * This file can be read again: initguid.h does.
 */
#pragma GCC system_header

#undef DEFINE_GUID
#ifdef INITGUID
#ifdef __cplusplus
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
    extern "C" __attribute__((weak, visibility("hidden"))) const GUID name = { l, w1, w2, { b1, b2, b3, b4, b5, b6, b7, b8 } }
#else
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
    __attribute__((weak, visibility("hidden"))) const GUID name = { l, w1, w2, { b1, b2, b3, b4, b5, b6, b7, b8 } }
#endif
#else
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
    EXTERN_C __attribute__((visibility("hidden"))) const GUID name
#endif

#ifndef UMNET_GUID_H
#define UMNET_GUID_H

#include <string.h>

#ifdef __cplusplus
#define REFGUID const GUID &
#define REFIID const GUID &
extern "C++" {
inline bool IsEqualGUID(const GUID &a, const GUID &b) { return memcmp(&a, &b, sizeof(GUID)) == 0; }
inline bool operator==(const GUID &a, const GUID &b) { return IsEqualGUID(a, b); }
inline bool operator!=(const GUID &a, const GUID &b) { return !IsEqualGUID(a, b); }
}
#else
#define REFGUID const GUID *
#define REFIID const GUID *
#define IsEqualGUID(a, b) (!memcmp((a), (b), sizeof(GUID)))
#endif
#define IID GUID
#define CLSID GUID
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)

#endif
