/*
 * The Windows Driver Framework, in the slice that user-mode network clients
 * use, on Linux. Types first, then a wrapper for each function, then the
 * macros for typed contexts.
 */
#ifndef UMNET_WDF_H
#define UMNET_WDF_H

#pragma GCC system_header

#include "umnet/wdf_types.h"

typedef PVOID PWDF_DRIVER_GLOBALS;

UMNET_EXTERN_C_BEGIN

UMNET_WDF_FUNCTIONS(UMNET_FRAMEWORK_WRAPPER)

/*
 * References carry a tag, a line and a file for whoever looks for leaks.
 */
#define WdfObjectReference(Handle) WdfObjectReferenceActual(Handle, 0, __LINE__, __FILE__)
#define WdfObjectReferenceWithTag(Handle, Tag) WdfObjectReferenceActual(Handle, Tag, __LINE__, __FILE__)
#define WdfObjectDereference(Handle) WdfObjectDereferenceActual(Handle, 0, __LINE__, __FILE__)
#define WdfObjectDereferenceWithTag(Handle, Tag) WdfObjectDereferenceActual(Handle, Tag, __LINE__, __FILE__)

#define WdfDeviceStopIdle(Device, WaitForD0) WdfDeviceStopIdleNoTrack(Device, WaitForD0)
#define WdfDeviceResumeIdle(Device) WdfDeviceResumeIdleNoTrack(Device)

/* Registers: width in the name. */
#define UMNET_REGISTER(NAME, Name, type, count_type) \
    UMNET_INLINE type WDF_READ_REGISTER_##NAME(WDFDEVICE Device, type volatile *Register) \
    { \
        return (type)WdfDeviceReadFromHardware(Device, WdfDeviceHwAccessTargetTypeRegister, \
                                               WdfDeviceHwAccessTargetSize##Name, (PVOID)Register, 0, 0); \
    } \
    UMNET_INLINE VOID WDF_WRITE_REGISTER_##NAME(WDFDEVICE Device, type volatile *Register, type Value) \
    { \
        WdfDeviceWriteToHardware(Device, WdfDeviceHwAccessTargetTypeRegister, \
                                 WdfDeviceHwAccessTargetSize##Name, (PVOID)Register, Value, 0, 0); \
    } \
    UMNET_INLINE VOID WDF_READ_REGISTER_BUFFER_##NAME(WDFDEVICE Device, type volatile *Register, type *Buffer, count_type Count) \
    { \
        WdfDeviceReadFromHardware(Device, WdfDeviceHwAccessTargetTypeRegisterBuffer, \
                                  WdfDeviceHwAccessTargetSize##Name, (PVOID)Register, Buffer, Count); \
    } \
    UMNET_INLINE VOID WDF_WRITE_REGISTER_BUFFER_##NAME(WDFDEVICE Device, type volatile *Register, type *Buffer, count_type Count) \
    { \
        WdfDeviceWriteToHardware(Device, WdfDeviceHwAccessTargetTypeRegisterBuffer, \
                                 WdfDeviceHwAccessTargetSize##Name, (PVOID)Register, 0, Buffer, Count); \
    }
UMNET_REGISTER(UCHAR, Uchar, UCHAR, ULONG)
UMNET_REGISTER(USHORT, Ushort, USHORT, ULONG)
UMNET_REGISTER(ULONG, Ulong, ULONG, ULONG)
UMNET_REGISTER(ULONG64, Ulong64, ULONG64, ULONG)
#undef UMNET_REGISTER

UMNET_EXTERN_C_END

/*
 * Typed contexts. Each use of the declaring macro makes a type description and
 * an accessor. The description is one per module: weak, so that the copies of
 * several translation units are one. A trailing semicolon may follow or not;
 * the type may be a structure or a class.
 */
#define WDF_TYPE_NAME_TO_TYPE_INFO(type) _WDF_##type##_TYPE_INFO
#define WDF_GET_CONTEXT_TYPE_INFO(type) (&WDF_TYPE_NAME_TO_TYPE_INFO(type))
#define WDF_TYPE_NAME_POINTER_TYPE(type) WDF_POINTER_TYPE_##type

#define WDF_DECLARE_TYPE_INFO(type) \
    EXTERN_C __attribute__((visibility("hidden"))) WDF_OBJECT_CONTEXT_TYPE_INFO WDF_TYPE_NAME_TO_TYPE_INFO(type); \
    __attribute__((weak, visibility("hidden"))) WDF_OBJECT_CONTEXT_TYPE_INFO WDF_TYPE_NAME_TO_TYPE_INFO(type) = { \
        sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), #type, sizeof(type), &WDF_TYPE_NAME_TO_TYPE_INFO(type), 0 \
    };

#define WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(type, accessor) \
    typedef type *WDF_TYPE_NAME_POINTER_TYPE(type); \
    WDF_DECLARE_TYPE_INFO(type) \
    UMNET_INLINE type *accessor(WDFOBJECT Handle) \
    { \
        return (type *)WdfObjectGetTypedContextWorker(Handle, WDF_GET_CONTEXT_TYPE_INFO(type)); \
    }
#define WDF_DECLARE_CONTEXT_TYPE(type) WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(type, WdfObjectGet_##type)
#define WDF_DECLARE_SHARED_CONTEXT_TYPE_WITH_NAME(type, accessor) WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(type, accessor)
#define WDF_DECLARE_CUSTOM_TYPE(type) WDF_DECLARE_TYPE_INFO_CUSTOM(type)
#define WDF_DECLARE_TYPE_INFO_CUSTOM(type) \
    EXTERN_C __attribute__((visibility("hidden"))) WDF_OBJECT_CONTEXT_TYPE_INFO WDF_TYPE_NAME_TO_TYPE_INFO(type); \
    __attribute__((weak, visibility("hidden"))) WDF_OBJECT_CONTEXT_TYPE_INFO WDF_TYPE_NAME_TO_TYPE_INFO(type) = { \
        sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), #type, 0, &WDF_TYPE_NAME_TO_TYPE_INFO(type), 0 \
    };

#define WdfObjectGetTypedContext(handle, type) \
    ((type *)WdfObjectGetTypedContextWorker((WDFOBJECT)(handle), WDF_GET_CONTEXT_TYPE_INFO(type)))

#define WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(attributes, type) \
    (attributes)->ContextTypeInfo = WDF_GET_CONTEXT_TYPE_INFO(type)
#define WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, type) \
    WDF_OBJECT_ATTRIBUTES_INIT(attributes), WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(attributes, type)

#define WDF_IS_FUNCTION_AVAILABLE(name) (UmnetFunctions[name##TableIndex] != (void *)UmnetUnbound)

#ifndef WDFVERIFY
#define WDFVERIFY(condition) NT_VERIFY(condition)
#define WDFCASSERT(condition) C_ASSERT(condition)
#endif

#endif
