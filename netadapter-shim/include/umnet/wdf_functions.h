/*
 * Every WDF function a client can call, once: X(result, name, parameters,
 * arguments). The names travel to the host with the client (bind.h); wdf.h
 * makes a wrapper of each line. The order is part of nothing: the host binds
 * by name.
 */
#ifndef UMNET_WDF_FUNCTIONS_H
#define UMNET_WDF_FUNCTIONS_H

#define UMNET_WDF_FUNCTIONS(X) \
    UMNET_WDF_DRIVER_FUNCTIONS(X) \
    UMNET_WDF_DEVICE_INIT_FUNCTIONS(X) \
    UMNET_WDF_DEVICE_FUNCTIONS(X) \
    UMNET_WDF_HARDWARE_FUNCTIONS(X) \
    UMNET_WDF_OBJECT_FUNCTIONS(X) \
    UMNET_WDF_MEMORY_FUNCTIONS(X) \
    UMNET_WDF_REQUEST_FUNCTIONS(X) \
    UMNET_WDF_IO_QUEUE_FUNCTIONS(X) \
    UMNET_WDF_IO_TARGET_FUNCTIONS(X) \
    UMNET_WDF_LOCK_FUNCTIONS(X) \
    UMNET_WDF_DEFERRED_FUNCTIONS(X) \
    UMNET_WDF_COLLECTION_FUNCTIONS(X) \
    UMNET_WDF_REGISTRY_FUNCTIONS(X)

#define UMNET_WDF_DRIVER_FUNCTIONS(X) \
    X(NTSTATUS, WdfDriverCreate, (PDRIVER_OBJECT DriverObject, PCUNICODE_STRING RegistryPath, PWDF_OBJECT_ATTRIBUTES DriverAttributes, PWDF_DRIVER_CONFIG DriverConfig, WDFDRIVER *Driver), (DriverObject, RegistryPath, DriverAttributes, DriverConfig, Driver)) \
    X(PWSTR, WdfDriverGetRegistryPath, (WDFDRIVER Driver), (Driver)) \
    X(PDRIVER_OBJECT, WdfDriverWdmGetDriverObject, (WDFDRIVER Driver), (Driver)) \
    X(NTSTATUS, WdfDriverOpenParametersRegistryKey, (WDFDRIVER Driver, ACCESS_MASK DesiredAccess, PWDF_OBJECT_ATTRIBUTES KeyAttributes, WDFKEY *Key), (Driver, DesiredAccess, KeyAttributes, Key)) \
    X(NTSTATUS, WdfDriverRetrieveVersionString, (WDFDRIVER Driver, WDFSTRING String), (Driver, String)) \
    X(BOOLEAN, WdfDriverIsVersionAvailable, (WDFDRIVER Driver, PWDF_DRIVER_VERSION_AVAILABLE_PARAMS Version), (Driver, Version)) \
    X(WDFDRIVER, WdfGetDriver, (), ()) \
    X(PVOID, WdfGetTriageInfo, (), ()) \
    X(VOID, WdfVerifierDbgBreakPoint, (), ()) \
    X(VOID, WdfVerifierKeBugCheck, (ULONG BugCheckCode, ULONG_PTR Parameter1, ULONG_PTR Parameter2, ULONG_PTR Parameter3, ULONG_PTR Parameter4), (BugCheckCode, Parameter1, Parameter2, Parameter3, Parameter4))

#define UMNET_WDF_DEVICE_INIT_FUNCTIONS(X) \
    X(PWDFDEVICE_INIT, WdfControlDeviceInitAllocate, (WDFDRIVER Driver, PCUNICODE_STRING SDDLString), (Driver, SDDLString)) \
    X(VOID, WdfControlFinishInitializing, (WDFDEVICE Device), (Device)) \
    X(VOID, WdfDeviceInitFree, (PWDFDEVICE_INIT DeviceInit), (DeviceInit)) \
    X(VOID, WdfDeviceInitSetPnpPowerEventCallbacks, (PWDFDEVICE_INIT DeviceInit, PWDF_PNPPOWER_EVENT_CALLBACKS Callbacks), (DeviceInit, Callbacks)) \
    X(VOID, WdfDeviceInitSetPowerPolicyEventCallbacks, (PWDFDEVICE_INIT DeviceInit, PWDF_POWER_POLICY_EVENT_CALLBACKS Callbacks), (DeviceInit, Callbacks)) \
    X(VOID, WdfDeviceInitSetPowerPolicyOwnership, (PWDFDEVICE_INIT DeviceInit, BOOLEAN IsPowerPolicyOwner), (DeviceInit, IsPowerPolicyOwner)) \
    X(VOID, WdfDeviceInitSetIoType, (PWDFDEVICE_INIT DeviceInit, WDF_DEVICE_IO_TYPE IoType), (DeviceInit, IoType)) \
    X(VOID, WdfDeviceInitSetIoTypeEx, (PWDFDEVICE_INIT DeviceInit, PWDF_IO_TYPE_CONFIG IoTypeConfig), (DeviceInit, IoTypeConfig)) \
    X(VOID, WdfDeviceInitSetExclusive, (PWDFDEVICE_INIT DeviceInit, BOOLEAN IsExclusive), (DeviceInit, IsExclusive)) \
    X(VOID, WdfDeviceInitSetDeviceType, (PWDFDEVICE_INIT DeviceInit, DEVICE_TYPE DeviceType), (DeviceInit, DeviceType)) \
    X(NTSTATUS, WdfDeviceInitAssignName, (PWDFDEVICE_INIT DeviceInit, PCUNICODE_STRING DeviceName), (DeviceInit, DeviceName)) \
    X(NTSTATUS, WdfDeviceInitAssignSDDLString, (PWDFDEVICE_INIT DeviceInit, PCUNICODE_STRING SDDLString), (DeviceInit, SDDLString)) \
    X(VOID, WdfDeviceInitSetCharacteristics, (PWDFDEVICE_INIT DeviceInit, ULONG DeviceCharacteristics, BOOLEAN OrInValues), (DeviceInit, DeviceCharacteristics, OrInValues)) \
    X(VOID, WdfDeviceInitSetPowerPageable, (PWDFDEVICE_INIT DeviceInit), (DeviceInit)) \
    X(VOID, WdfDeviceInitSetPowerNotPageable, (PWDFDEVICE_INIT DeviceInit), (DeviceInit)) \
    X(VOID, WdfDeviceInitSetPowerInrush, (PWDFDEVICE_INIT DeviceInit), (DeviceInit)) \
    X(VOID, WdfDeviceInitSetReleaseHardwareOrderOnFailure, (PWDFDEVICE_INIT DeviceInit, WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE Order), (DeviceInit, Order)) \
    X(VOID, WdfDeviceInitSetFileObjectConfig, (PWDFDEVICE_INIT DeviceInit, PWDF_FILEOBJECT_CONFIG FileObjectConfig, PWDF_OBJECT_ATTRIBUTES FileObjectAttributes), (DeviceInit, FileObjectConfig, FileObjectAttributes)) \
    X(VOID, WdfDeviceInitSetRequestAttributes, (PWDFDEVICE_INIT DeviceInit, PWDF_OBJECT_ATTRIBUTES RequestAttributes), (DeviceInit, RequestAttributes)) \
    X(VOID, WdfDeviceInitSetIoInCallerContextCallback, (PWDFDEVICE_INIT DeviceInit, PFN_WDF_IO_IN_CALLER_CONTEXT Callback), (DeviceInit, Callback)) \
    X(VOID, WdfFdoInitSetFilter, (PWDFDEVICE_INIT DeviceInit), (DeviceInit))

#define UMNET_WDF_DEVICE_FUNCTIONS(X) \
    X(NTSTATUS, WdfDeviceCreate, (PWDFDEVICE_INIT *DeviceInit, PWDF_OBJECT_ATTRIBUTES DeviceAttributes, WDFDEVICE *Device), (DeviceInit, DeviceAttributes, Device)) \
    X(WDFDRIVER, WdfDeviceGetDriver, (WDFDEVICE Device), (Device)) \
    X(WDFQUEUE, WdfDeviceGetDefaultQueue, (WDFDEVICE Device), (Device)) \
    X(WDFIOTARGET, WdfDeviceGetIoTarget, (WDFDEVICE Device), (Device)) \
    X(NTSTATUS, WdfDeviceConfigureRequestDispatching, (WDFDEVICE Device, WDFQUEUE Queue, WDF_REQUEST_TYPE RequestType), (Device, Queue, RequestType)) \
    X(NTSTATUS, WdfDeviceEnqueueRequest, (WDFDEVICE Device, WDFREQUEST Request), (Device, Request)) \
    X(VOID, WdfDeviceSetFailed, (WDFDEVICE Device, WDF_DEVICE_FAILED_ACTION FailedAction), (Device, FailedAction)) \
    X(NTSTATUS, WdfDeviceCreateDeviceInterface, (WDFDEVICE Device, const GUID *InterfaceClassGUID, PCUNICODE_STRING ReferenceString), (Device, InterfaceClassGUID, ReferenceString)) \
    X(VOID, WdfDeviceSetDeviceInterfaceState, (WDFDEVICE Device, const GUID *InterfaceClassGUID, PCUNICODE_STRING ReferenceString, BOOLEAN IsInterfaceEnabled), (Device, InterfaceClassGUID, ReferenceString, IsInterfaceEnabled)) \
    X(NTSTATUS, WdfDeviceRetrieveDeviceInterfaceString, (WDFDEVICE Device, const GUID *InterfaceClassGUID, PCUNICODE_STRING ReferenceString, WDFSTRING String), (Device, InterfaceClassGUID, ReferenceString, String)) \
    X(NTSTATUS, WdfDeviceCreateSymbolicLink, (WDFDEVICE Device, PCUNICODE_STRING SymbolicLinkName), (Device, SymbolicLinkName)) \
    X(NTSTATUS, WdfDeviceAssignS0IdleSettings, (WDFDEVICE Device, PWDF_DEVICE_POWER_POLICY_IDLE_SETTINGS Settings), (Device, Settings)) \
    X(NTSTATUS, WdfDeviceAssignSxWakeSettings, (WDFDEVICE Device, PWDF_DEVICE_POWER_POLICY_WAKE_SETTINGS Settings), (Device, Settings)) \
    X(NTSTATUS, WdfDeviceStopIdleNoTrack, (WDFDEVICE Device, BOOLEAN WaitForD0), (Device, WaitForD0)) \
    X(VOID, WdfDeviceResumeIdleNoTrack, (WDFDEVICE Device), (Device)) \
    X(VOID, WdfDeviceSetPnpCapabilities, (WDFDEVICE Device, PWDF_DEVICE_PNP_CAPABILITIES PnpCapabilities), (Device, PnpCapabilities)) \
    X(VOID, WdfDeviceSetPowerCapabilities, (WDFDEVICE Device, PWDF_DEVICE_POWER_CAPABILITIES PowerCapabilities), (Device, PowerCapabilities)) \
    X(VOID, WdfDeviceGetDeviceState, (WDFDEVICE Device, PWDF_DEVICE_STATE DeviceState), (Device, DeviceState)) \
    X(VOID, WdfDeviceSetDeviceState, (WDFDEVICE Device, PWDF_DEVICE_STATE DeviceState), (Device, DeviceState)) \
    X(VOID, WdfDeviceSetStaticStopRemove, (WDFDEVICE Device, BOOLEAN Stoppable), (Device, Stoppable)) \
    X(POWER_ACTION, WdfDeviceGetSystemPowerAction, (WDFDEVICE Device), (Device)) \
    X(WDF_DEVICE_PNP_STATE, WdfDeviceGetDevicePnpState, (WDFDEVICE Device), (Device)) \
    X(WDF_DEVICE_POWER_STATE, WdfDeviceGetDevicePowerState, (WDFDEVICE Device), (Device)) \
    X(NTSTATUS, WdfDeviceOpenRegistryKey, (WDFDEVICE Device, ULONG DeviceInstanceKeyType, ACCESS_MASK DesiredAccess, PWDF_OBJECT_ATTRIBUTES KeyAttributes, WDFKEY *Key), (Device, DeviceInstanceKeyType, DesiredAccess, KeyAttributes, Key)) \
    X(NTSTATUS, WdfDeviceAssignProperty, (WDFDEVICE Device, PWDF_DEVICE_PROPERTY_DATA PropertyData, DEVPROPTYPE Type, ULONG Size, PVOID Data), (Device, PropertyData, Type, Size, Data)) \
    X(NTSTATUS, WdfDeviceQueryPropertyEx, (WDFDEVICE Device, PWDF_DEVICE_PROPERTY_DATA PropertyData, ULONG BufferLength, PVOID PropertyBuffer, PULONG RequiredSize, PDEVPROPTYPE Type), (Device, PropertyData, BufferLength, PropertyBuffer, RequiredSize, Type)) \
    X(NTSTATUS, WdfDeviceQueryProperty, (WDFDEVICE Device, DEVICE_REGISTRY_PROPERTY DeviceProperty, ULONG BufferLength, PVOID PropertyBuffer, PULONG ResultLength), (Device, DeviceProperty, BufferLength, PropertyBuffer, ResultLength)) \
    X(NTSTATUS, WdfDeviceAllocAndQueryProperty, (WDFDEVICE Device, DEVICE_REGISTRY_PROPERTY DeviceProperty, POOL_TYPE PoolType, PWDF_OBJECT_ATTRIBUTES PropertyMemoryAttributes, WDFMEMORY *PropertyMemory), (Device, DeviceProperty, PoolType, PropertyMemoryAttributes, PropertyMemory)) \
    X(WDFDEVICE, WdfFileObjectGetDevice, (WDFFILEOBJECT FileObject), (FileObject)) \
    X(PUNICODE_STRING, WdfFileObjectGetFileName, (WDFFILEOBJECT FileObject), (FileObject))

#define UMNET_WDF_HARDWARE_FUNCTIONS(X) \
    X(ULONG, WdfCmResourceListGetCount, (WDFCMRESLIST List), (List)) \
    X(PCM_PARTIAL_RESOURCE_DESCRIPTOR, WdfCmResourceListGetDescriptor, (WDFCMRESLIST List, ULONG Index), (List, Index)) \
    X(NTSTATUS, WdfDeviceMapIoSpace, (WDFDEVICE Device, PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType, PVOID *PseudoBaseAddress), (Device, PhysicalAddress, NumberOfBytes, CacheType, PseudoBaseAddress)) \
    X(VOID, WdfDeviceUnmapIoSpace, (WDFDEVICE Device, PVOID PseudoBaseAddress, SIZE_T NumberOfBytes), (Device, PseudoBaseAddress, NumberOfBytes)) \
    X(PVOID, WdfDeviceGetHardwareRegisterMappedAddress, (WDFDEVICE Device, PVOID PseudoBaseAddress), (Device, PseudoBaseAddress)) \
    X(SIZE_T, WdfDeviceReadFromHardware, (WDFDEVICE Device, WDF_DEVICE_HWACCESS_TARGET_TYPE Type, WDF_DEVICE_HWACCESS_TARGET_SIZE Size, PVOID TargetAddress, PVOID Buffer, ULONG Count), (Device, Type, Size, TargetAddress, Buffer, Count)) \
    X(VOID, WdfDeviceWriteToHardware, (WDFDEVICE Device, WDF_DEVICE_HWACCESS_TARGET_TYPE Type, WDF_DEVICE_HWACCESS_TARGET_SIZE Size, PVOID TargetAddress, SIZE_T Value, PVOID Buffer, ULONG Count), (Device, Type, Size, TargetAddress, Value, Buffer, Count)) \
    X(NTSTATUS, WdfInterruptCreate, (WDFDEVICE Device, PWDF_INTERRUPT_CONFIG Configuration, PWDF_OBJECT_ATTRIBUTES Attributes, WDFINTERRUPT *Interrupt), (Device, Configuration, Attributes, Interrupt)) \
    X(BOOLEAN, WdfInterruptQueueDpcForIsr, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(BOOLEAN, WdfInterruptQueueWorkItemForIsr, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(BOOLEAN, WdfInterruptSynchronize, (WDFINTERRUPT Interrupt, PFN_WDF_INTERRUPT_SYNCHRONIZE Callback, WDFCONTEXT Context), (Interrupt, Callback, Context)) \
    X(BOOLEAN, WdfInterruptTryToAcquireLock, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(VOID, WdfInterruptAcquireLock, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(VOID, WdfInterruptReleaseLock, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(VOID, WdfInterruptEnable, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(VOID, WdfInterruptDisable, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(VOID, WdfInterruptGetInfo, (WDFINTERRUPT Interrupt, PWDF_INTERRUPT_INFO Info), (Interrupt, Info)) \
    X(WDFDEVICE, WdfInterruptGetDevice, (WDFINTERRUPT Interrupt), (Interrupt)) \
    X(VOID, WdfDeviceSetAlignmentRequirement, (WDFDEVICE Device, ULONG AlignmentRequirement), (Device, AlignmentRequirement)) \
    X(ULONG, WdfDeviceGetAlignmentRequirement, (WDFDEVICE Device), (Device)) \
    X(NTSTATUS, WdfDmaEnablerCreate, (WDFDEVICE Device, PWDF_DMA_ENABLER_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFDMAENABLER *DmaEnablerHandle), (Device, Config, Attributes, DmaEnablerHandle)) \
    X(NTSTATUS, WdfCommonBufferCreate, (WDFDMAENABLER DmaEnabler, size_t Length, PWDF_OBJECT_ATTRIBUTES Attributes, WDFCOMMONBUFFER *CommonBuffer), (DmaEnabler, Length, Attributes, CommonBuffer)) \
    X(NTSTATUS, WdfCommonBufferCreateWithConfig, (WDFDMAENABLER DmaEnabler, size_t Length, PWDF_COMMON_BUFFER_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFCOMMONBUFFER *CommonBuffer), (DmaEnabler, Length, Config, Attributes, CommonBuffer)) \
    X(PVOID, WdfCommonBufferGetAlignedVirtualAddress, (WDFCOMMONBUFFER CommonBuffer), (CommonBuffer)) \
    X(PHYSICAL_ADDRESS, WdfCommonBufferGetAlignedLogicalAddress, (WDFCOMMONBUFFER CommonBuffer), (CommonBuffer)) \
    X(size_t, WdfCommonBufferGetLength, (WDFCOMMONBUFFER CommonBuffer), (CommonBuffer))

#define UMNET_WDF_OBJECT_FUNCTIONS(X) \
    X(NTSTATUS, WdfObjectCreate, (PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Object), (Attributes, Object)) \
    X(VOID, WdfObjectDelete, (WDFOBJECT Object), (Object)) \
    X(NTSTATUS, WdfObjectAllocateContext, (WDFOBJECT Handle, PWDF_OBJECT_ATTRIBUTES ContextAttributes, PVOID *Context), (Handle, ContextAttributes, Context)) \
    X(PVOID, WdfObjectGetTypedContextWorker, (WDFOBJECT Handle, PCWDF_OBJECT_CONTEXT_TYPE_INFO TypeInfo), (Handle, TypeInfo)) \
    X(WDFOBJECT, WdfObjectContextGetObject, (PVOID ContextPointer), (ContextPointer)) \
    X(VOID, WdfObjectReferenceActual, (WDFOBJECT Handle, PVOID Tag, LONG Line, PCSTR File), (Handle, Tag, Line, File)) \
    X(VOID, WdfObjectDereferenceActual, (WDFOBJECT Handle, PVOID Tag, LONG Line, PCSTR File), (Handle, Tag, Line, File)) \
    X(NTSTATUS, WdfObjectAddCustomType, (WDFOBJECT Handle, PCWDF_OBJECT_CONTEXT_TYPE_INFO CustomType, ULONG_PTR Data, PFN_WDF_OBJECT_CONTEXT_CLEANUP EvtCleanupCallback, PFN_WDF_OBJECT_CONTEXT_DESTROY EvtDestroyCallback), (Handle, CustomType, Data, EvtCleanupCallback, EvtDestroyCallback)) \
    X(BOOLEAN, WdfObjectIsCustomType, (WDFOBJECT Handle, PCWDF_OBJECT_CONTEXT_TYPE_INFO CustomType), (Handle, CustomType)) \
    X(VOID, WdfObjectAcquireLock, (WDFOBJECT Object), (Object)) \
    X(VOID, WdfObjectReleaseLock, (WDFOBJECT Object), (Object))

#define UMNET_WDF_MEMORY_FUNCTIONS(X) \
    X(NTSTATUS, WdfMemoryCreate, (PWDF_OBJECT_ATTRIBUTES Attributes, POOL_TYPE PoolType, ULONG PoolTag, size_t BufferSize, WDFMEMORY *Memory, PVOID *Buffer), (Attributes, PoolType, PoolTag, BufferSize, Memory, Buffer)) \
    X(NTSTATUS, WdfMemoryCreatePreallocated, (PWDF_OBJECT_ATTRIBUTES Attributes, PVOID Buffer, size_t BufferSize, WDFMEMORY *Memory), (Attributes, Buffer, BufferSize, Memory)) \
    X(PVOID, WdfMemoryGetBuffer, (WDFMEMORY Memory, size_t *BufferSize), (Memory, BufferSize)) \
    X(NTSTATUS, WdfMemoryAssignBuffer, (WDFMEMORY Memory, PVOID Buffer, size_t BufferSize), (Memory, Buffer, BufferSize)) \
    X(NTSTATUS, WdfMemoryCopyToBuffer, (WDFMEMORY SourceMemory, size_t SourceOffset, PVOID Buffer, size_t NumBytesToCopyTo), (SourceMemory, SourceOffset, Buffer, NumBytesToCopyTo)) \
    X(NTSTATUS, WdfMemoryCopyFromBuffer, (WDFMEMORY DestinationMemory, size_t DestinationOffset, PVOID Buffer, size_t NumBytesToCopyFrom), (DestinationMemory, DestinationOffset, Buffer, NumBytesToCopyFrom))

#define UMNET_WDF_REQUEST_FUNCTIONS(X) \
    X(NTSTATUS, WdfRequestCreate, (PWDF_OBJECT_ATTRIBUTES RequestAttributes, WDFIOTARGET IoTarget, WDFREQUEST *Request), (RequestAttributes, IoTarget, Request)) \
    X(NTSTATUS, WdfRequestReuse, (WDFREQUEST Request, PWDF_REQUEST_REUSE_PARAMS ReuseParams), (Request, ReuseParams)) \
    X(VOID, WdfRequestComplete, (WDFREQUEST Request, NTSTATUS Status), (Request, Status)) \
    X(VOID, WdfRequestCompleteWithInformation, (WDFREQUEST Request, NTSTATUS Status, ULONG_PTR Information), (Request, Status, Information)) \
    X(VOID, WdfRequestCompleteWithPriorityBoost, (WDFREQUEST Request, NTSTATUS Status, CCHAR PriorityBoost), (Request, Status, PriorityBoost)) \
    X(NTSTATUS, WdfRequestGetStatus, (WDFREQUEST Request), (Request)) \
    X(VOID, WdfRequestGetParameters, (WDFREQUEST Request, PWDF_REQUEST_PARAMETERS Parameters), (Request, Parameters)) \
    X(VOID, WdfRequestSetInformation, (WDFREQUEST Request, ULONG_PTR Information), (Request, Information)) \
    X(ULONG_PTR, WdfRequestGetInformation, (WDFREQUEST Request), (Request)) \
    X(NTSTATUS, WdfRequestRetrieveInputBuffer, (WDFREQUEST Request, size_t MinimumRequiredLength, PVOID *Buffer, size_t *Length), (Request, MinimumRequiredLength, Buffer, Length)) \
    X(NTSTATUS, WdfRequestRetrieveOutputBuffer, (WDFREQUEST Request, size_t MinimumRequiredSize, PVOID *Buffer, size_t *Length), (Request, MinimumRequiredSize, Buffer, Length)) \
    X(NTSTATUS, WdfRequestRetrieveInputMemory, (WDFREQUEST Request, WDFMEMORY *Memory), (Request, Memory)) \
    X(NTSTATUS, WdfRequestRetrieveOutputMemory, (WDFREQUEST Request, WDFMEMORY *Memory), (Request, Memory)) \
    X(VOID, WdfRequestMarkCancelable, (WDFREQUEST Request, PFN_WDF_REQUEST_CANCEL EvtRequestCancel), (Request, EvtRequestCancel)) \
    X(NTSTATUS, WdfRequestMarkCancelableEx, (WDFREQUEST Request, PFN_WDF_REQUEST_CANCEL EvtRequestCancel), (Request, EvtRequestCancel)) \
    X(NTSTATUS, WdfRequestUnmarkCancelable, (WDFREQUEST Request), (Request)) \
    X(BOOLEAN, WdfRequestIsCanceled, (WDFREQUEST Request), (Request)) \
    X(BOOLEAN, WdfRequestCancelSentRequest, (WDFREQUEST Request), (Request)) \
    X(BOOLEAN, WdfRequestSend, (WDFREQUEST Request, WDFIOTARGET Target, PWDF_REQUEST_SEND_OPTIONS Options), (Request, Target, Options)) \
    X(VOID, WdfRequestSetCompletionRoutine, (WDFREQUEST Request, PFN_WDF_REQUEST_COMPLETION_ROUTINE CompletionRoutine, WDFCONTEXT CompletionContext), (Request, CompletionRoutine, CompletionContext)) \
    X(VOID, WdfRequestGetCompletionParams, (WDFREQUEST Request, PWDF_REQUEST_COMPLETION_PARAMS Params), (Request, Params)) \
    X(VOID, WdfRequestFormatRequestUsingCurrentType, (WDFREQUEST Request), (Request)) \
    X(WDFQUEUE, WdfRequestGetIoQueue, (WDFREQUEST Request), (Request)) \
    X(WDFFILEOBJECT, WdfRequestGetFileObject, (WDFREQUEST Request), (Request)) \
    X(NTSTATUS, WdfRequestForwardToIoQueue, (WDFREQUEST Request, WDFQUEUE DestinationQueue), (Request, DestinationQueue)) \
    X(NTSTATUS, WdfRequestRequeue, (WDFREQUEST Request), (Request)) \
    X(VOID, WdfRequestStopAcknowledge, (WDFREQUEST Request, BOOLEAN Requeue), (Request, Requeue)) \
    X(ULONG, WdfRequestGetRequestorProcessId, (WDFREQUEST Request), (Request)) \
    X(KPROCESSOR_MODE, WdfRequestGetRequestorMode, (WDFREQUEST Request), (Request))

#define UMNET_WDF_IO_QUEUE_FUNCTIONS(X) \
    X(NTSTATUS, WdfIoQueueCreate, (WDFDEVICE Device, PWDF_IO_QUEUE_CONFIG Config, PWDF_OBJECT_ATTRIBUTES QueueAttributes, WDFQUEUE *Queue), (Device, Config, QueueAttributes, Queue)) \
    X(WDFDEVICE, WdfIoQueueGetDevice, (WDFQUEUE Queue), (Queue)) \
    X(WDF_IO_QUEUE_STATE, WdfIoQueueGetState, (WDFQUEUE Queue, PULONG QueueRequests, PULONG DriverRequests), (Queue, QueueRequests, DriverRequests)) \
    X(NTSTATUS, WdfIoQueueRetrieveNextRequest, (WDFQUEUE Queue, WDFREQUEST *OutRequest), (Queue, OutRequest)) \
    X(NTSTATUS, WdfIoQueueRetrieveRequestByFileObject, (WDFQUEUE Queue, WDFFILEOBJECT FileObject, WDFREQUEST *OutRequest), (Queue, FileObject, OutRequest)) \
    X(NTSTATUS, WdfIoQueueReadyNotify, (WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE QueueReady, WDFCONTEXT Context), (Queue, QueueReady, Context)) \
    X(VOID, WdfIoQueueStart, (WDFQUEUE Queue), (Queue)) \
    X(VOID, WdfIoQueueStop, (WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE StopComplete, WDFCONTEXT Context), (Queue, StopComplete, Context)) \
    X(VOID, WdfIoQueueStopSynchronously, (WDFQUEUE Queue), (Queue)) \
    X(VOID, WdfIoQueueDrain, (WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE DrainComplete, WDFCONTEXT Context), (Queue, DrainComplete, Context)) \
    X(VOID, WdfIoQueueDrainSynchronously, (WDFQUEUE Queue), (Queue)) \
    X(VOID, WdfIoQueuePurge, (WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE PurgeComplete, WDFCONTEXT Context), (Queue, PurgeComplete, Context)) \
    X(VOID, WdfIoQueuePurgeSynchronously, (WDFQUEUE Queue), (Queue))

#define UMNET_WDF_IO_TARGET_FUNCTIONS(X) \
    X(WDFDEVICE, WdfIoTargetGetDevice, (WDFIOTARGET IoTarget), (IoTarget)) \
    X(NTSTATUS, WdfIoTargetStart, (WDFIOTARGET IoTarget), (IoTarget)) \
    X(VOID, WdfIoTargetStop, (WDFIOTARGET IoTarget, WDF_IO_TARGET_SENT_IO_ACTION Action), (IoTarget, Action)) \
    X(NTSTATUS, WdfIoTargetSendReadSynchronously, (WDFIOTARGET IoTarget, WDFREQUEST Request, PWDF_MEMORY_DESCRIPTOR OutputBuffer, PLONGLONG DeviceOffset, PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesRead), (IoTarget, Request, OutputBuffer, DeviceOffset, RequestOptions, BytesRead)) \
    X(NTSTATUS, WdfIoTargetSendWriteSynchronously, (WDFIOTARGET IoTarget, WDFREQUEST Request, PWDF_MEMORY_DESCRIPTOR InputBuffer, PLONGLONG DeviceOffset, PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesWritten), (IoTarget, Request, InputBuffer, DeviceOffset, RequestOptions, BytesWritten)) \
    X(NTSTATUS, WdfIoTargetSendIoctlSynchronously, (WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode, PWDF_MEMORY_DESCRIPTOR InputBuffer, PWDF_MEMORY_DESCRIPTOR OutputBuffer, PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesReturned), (IoTarget, Request, IoctlCode, InputBuffer, OutputBuffer, RequestOptions, BytesReturned))

#define UMNET_WDF_LOCK_FUNCTIONS(X) \
    X(NTSTATUS, WdfSpinLockCreate, (PWDF_OBJECT_ATTRIBUTES SpinLockAttributes, WDFSPINLOCK *SpinLock), (SpinLockAttributes, SpinLock)) \
    X(VOID, WdfSpinLockAcquire, (WDFSPINLOCK SpinLock), (SpinLock)) \
    X(VOID, WdfSpinLockRelease, (WDFSPINLOCK SpinLock), (SpinLock)) \
    X(NTSTATUS, WdfWaitLockCreate, (PWDF_OBJECT_ATTRIBUTES LockAttributes, WDFWAITLOCK *Lock), (LockAttributes, Lock)) \
    X(NTSTATUS, WdfWaitLockAcquire, (WDFWAITLOCK Lock, PLONGLONG Timeout), (Lock, Timeout)) \
    X(VOID, WdfWaitLockRelease, (WDFWAITLOCK Lock), (Lock))

#define UMNET_WDF_DEFERRED_FUNCTIONS(X) \
    X(NTSTATUS, WdfTimerCreate, (PWDF_TIMER_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFTIMER *Timer), (Config, Attributes, Timer)) \
    X(BOOLEAN, WdfTimerStart, (WDFTIMER Timer, LONGLONG DueTime), (Timer, DueTime)) \
    X(BOOLEAN, WdfTimerStop, (WDFTIMER Timer, BOOLEAN Wait), (Timer, Wait)) \
    X(WDFOBJECT, WdfTimerGetParentObject, (WDFTIMER Timer), (Timer)) \
    X(NTSTATUS, WdfWorkItemCreate, (PWDF_WORKITEM_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFWORKITEM *WorkItem), (Config, Attributes, WorkItem)) \
    X(VOID, WdfWorkItemEnqueue, (WDFWORKITEM WorkItem), (WorkItem)) \
    X(VOID, WdfWorkItemFlush, (WDFWORKITEM WorkItem), (WorkItem)) \
    X(WDFOBJECT, WdfWorkItemGetParentObject, (WDFWORKITEM WorkItem), (WorkItem)) \
    X(NTSTATUS, WdfDpcCreate, (PWDF_DPC_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFDPC *Dpc), (Config, Attributes, Dpc)) \
    X(BOOLEAN, WdfDpcEnqueue, (WDFDPC Dpc), (Dpc)) \
    X(BOOLEAN, WdfDpcCancel, (WDFDPC Dpc, BOOLEAN Wait), (Dpc, Wait)) \
    X(WDFOBJECT, WdfDpcGetParentObject, (WDFDPC Dpc), (Dpc))

#define UMNET_WDF_COLLECTION_FUNCTIONS(X) \
    X(NTSTATUS, WdfCollectionCreate, (PWDF_OBJECT_ATTRIBUTES CollectionAttributes, WDFCOLLECTION *Collection), (CollectionAttributes, Collection)) \
    X(ULONG, WdfCollectionGetCount, (WDFCOLLECTION Collection), (Collection)) \
    X(NTSTATUS, WdfCollectionAdd, (WDFCOLLECTION Collection, WDFOBJECT Object), (Collection, Object)) \
    X(VOID, WdfCollectionRemove, (WDFCOLLECTION Collection, WDFOBJECT Item), (Collection, Item)) \
    X(VOID, WdfCollectionRemoveItem, (WDFCOLLECTION Collection, ULONG Index), (Collection, Index)) \
    X(WDFOBJECT, WdfCollectionGetItem, (WDFCOLLECTION Collection, ULONG Index), (Collection, Index)) \
    X(WDFOBJECT, WdfCollectionGetFirstItem, (WDFCOLLECTION Collection), (Collection)) \
    X(WDFOBJECT, WdfCollectionGetLastItem, (WDFCOLLECTION Collection), (Collection)) \
    X(NTSTATUS, WdfStringCreate, (PCUNICODE_STRING UnicodeString, PWDF_OBJECT_ATTRIBUTES StringAttributes, WDFSTRING *String), (UnicodeString, StringAttributes, String)) \
    X(VOID, WdfStringGetUnicodeString, (WDFSTRING String, PUNICODE_STRING UnicodeString), (String, UnicodeString))

#define UMNET_WDF_REGISTRY_FUNCTIONS(X) \
    X(NTSTATUS, WdfRegistryOpenKey, (WDFKEY ParentKey, PCUNICODE_STRING KeyName, ACCESS_MASK DesiredAccess, PWDF_OBJECT_ATTRIBUTES KeyAttributes, WDFKEY *Key), (ParentKey, KeyName, DesiredAccess, KeyAttributes, Key)) \
    X(VOID, WdfRegistryClose, (WDFKEY Key), (Key)) \
    X(NTSTATUS, WdfRegistryQueryValue, (WDFKEY Key, PCUNICODE_STRING ValueName, ULONG ValueLength, PVOID Value, PULONG ValueLengthQueried, PULONG ValueType), (Key, ValueName, ValueLength, Value, ValueLengthQueried, ValueType)) \
    X(NTSTATUS, WdfRegistryQueryULong, (WDFKEY Key, PCUNICODE_STRING ValueName, PULONG Value), (Key, ValueName, Value)) \
    X(NTSTATUS, WdfRegistryQueryString, (WDFKEY Key, PCUNICODE_STRING ValueName, WDFSTRING String), (Key, ValueName, String)) \
    X(NTSTATUS, WdfRegistryQueryUnicodeString, (WDFKEY Key, PCUNICODE_STRING ValueName, PUSHORT ValueByteLength, PUNICODE_STRING Value), (Key, ValueName, ValueByteLength, Value)) \
    X(NTSTATUS, WdfRegistryQueryMultiString, (WDFKEY Key, PCUNICODE_STRING ValueName, PWDF_OBJECT_ATTRIBUTES StringsAttributes, WDFCOLLECTION Collection), (Key, ValueName, StringsAttributes, Collection)) \
    X(NTSTATUS, WdfRegistryQueryMemory, (WDFKEY Key, PCUNICODE_STRING ValueName, POOL_TYPE PoolType, PWDF_OBJECT_ATTRIBUTES MemoryAttributes, WDFMEMORY *Memory, PULONG ValueType), (Key, ValueName, PoolType, MemoryAttributes, Memory, ValueType)) \
    X(NTSTATUS, WdfRegistryAssignValue, (WDFKEY Key, PCUNICODE_STRING ValueName, ULONG ValueType, ULONG ValueLength, PVOID Value), (Key, ValueName, ValueType, ValueLength, Value)) \
    X(NTSTATUS, WdfRegistryAssignULong, (WDFKEY Key, PCUNICODE_STRING ValueName, ULONG Value), (Key, ValueName, Value)) \
    X(NTSTATUS, WdfRegistryAssignUnicodeString, (WDFKEY Key, PCUNICODE_STRING ValueName, PCUNICODE_STRING Value), (Key, ValueName, Value)) \
    X(NTSTATUS, WdfRegistryAssignString, (WDFKEY Key, PCUNICODE_STRING ValueName, WDFSTRING String), (Key, ValueName, String))

#endif
