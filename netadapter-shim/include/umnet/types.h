/*
 * The base types the interface is written in, with the sizes they have on
 * 64-bit Windows: ULONG and enumerations have 32 bits whatever the size of a
 * C long is.
 */
#ifndef UMNET_TYPES_H
#define UMNET_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef void VOID, *PVOID;
typedef uint8_t BOOLEAN, UCHAR, UINT8;
typedef uint16_t USHORT, UINT16, WCHAR;
typedef uint32_t ULONG, UINT32;
typedef int32_t NTSTATUS, LONG, INT32;
typedef uint64_t ULONG64, UINT64;
typedef int64_t LONG64, INT64;
typedef size_t SIZE_T;
typedef union { INT64 QuadPart; } PHYSICAL_ADDRESS;

/* An opaque object handle. */
#define UMNET_HANDLE(name) typedef struct name##__ *name

UMNET_HANDLE(NETADAPTER);
UMNET_HANDLE(NETPACKETQUEUE);
UMNET_HANDLE(NETRECEIVEFILTER);
UMNET_HANDLE(NETOFFLOAD);
UMNET_HANDLE(NETEXECUTIONCONTEXT);
UMNET_HANDLE(NETTXQUEUE_INIT_HANDLE);
UMNET_HANDLE(NETRXQUEUE_INIT_HANDLE);
UMNET_HANDLE(WDFDMAENABLER);

/* A three-valued switch of WDF. */
typedef enum { WdfFalse = 0, WdfTrue = 1, WdfUseDefault = 2 } WDF_TRI_STATE;

#endif
