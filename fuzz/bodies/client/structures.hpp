/* The pointers in structures: whatever else is in them, these are the client's own, or NULL. */
#pragma once

#include "values.hpp"

template <class T> void Fix(T &) {}

template <> inline void Fix(WDF_OBJECT_ATTRIBUTES &s)
{
    bool sound = Mine->Byte() % 8;
    Put(s.EvtCleanupCallback);
    Put(s.EvtDestroyCallback);
    s.ParentObject = nullptr;
    if (Mine->Flip()) {
        void const *const parents[] = { KindOf<WDFDEVICE>(), KindOf<WDFDRIVER>(), KindOf<PVOID>(), KindOf<WDFQUEUE>() };
        s.ParentObject = Game.Pick(parents[Mine->Byte() % 4]);
    }
    s.ContextTypeInfo = Mine->Flip() ? AnyContext() : nullptr;
    s.ContextSizeOverride = Moderate(s.ContextSizeOverride);
    if (sound) {
        s.ExecutionLevel = WdfExecutionLevelInheritFromParent;
        s.SynchronizationScope = WdfSynchronizationScopeInheritFromParent;
        s.ContextSizeOverride = 0;
    }
}

template <> inline void Fix(UNICODE_STRING &s)
{
    wchar_t const *name = AnyName();
    size_t bytes = name ? wcslen(name) * sizeof(wchar_t) : 0;
    s.MaximumLength = (USHORT)(bytes + Mine->Byte() % 40);
    s.Length = Mine->Byte() % 16 ? (USHORT)bytes : (USHORT)Mine->Number();
    s.Buffer = name || s.MaximumLength % 2 ? (PWSTR)Game.Block(s.MaximumLength) : nullptr;
    if (s.Buffer && name)
        memcpy(s.Buffer, name, bytes);
}

template <> inline void Fix(WDF_DRIVER_CONFIG &s)
{
    Put(s.EvtDriverDeviceAdd);
    Put(s.EvtDriverUnload);
}

/* Callbacks from `first` to the structure's end. */
template <class T> void PutAll(T &s, size_t first)
{
    using Callback = NTSTATUS (*)(WDFDEVICE);
    for (size_t at = first; at < sizeof(T); at += sizeof(Callback))
        Put(*(Callback *)((char *)&s + at));
}

template <> inline void Fix(WDF_PNPPOWER_EVENT_CALLBACKS &s) { PutAll(s, 8); }
template <> inline void Fix(WDF_POWER_POLICY_EVENT_CALLBACKS &s) { PutAll(s, 8); }
template <> inline void Fix(WDF_INTERRUPT_CONFIG &s)
{
    Put(s.SpinLock);
    Put(s.EvtInterruptIsr);
    Put(s.EvtInterruptDpc);
    Put(s.EvtInterruptEnable);
    Put(s.EvtInterruptDisable);
    Put(s.EvtInterruptWorkItem);
    s.InterruptRaw = s.InterruptTranslated = nullptr;
    Put(s.WaitLock);
}

template <> inline void Fix(WDF_DEVICE_PROPERTY_DATA &s)
{
    s.PropertyKey = Mine->Byte() % 8 ? (DEVPROPKEY const *)Game.Block(sizeof(DEVPROPKEY), Mine->Byte() % 4) : nullptr;
}

template <> inline void Fix(WDF_REQUEST_REUSE_PARAMS &s) { s.NewIrp = nullptr; }

template <> inline void Fix(WDF_MEMORY_DESCRIPTOR &s)
{
    uint8_t kind = Mine->Byte();
    if (kind < 160) {
        ULONG length = (ULONG)(Mine->Number() % 4096);
        WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&s, kind % 16 ? Game.Block(length) : nullptr, length);
    } else if (kind < 240) {
        WDFMEMORY_OFFSET *offsets = (WDFMEMORY_OFFSET *)Game.Block(sizeof(WDFMEMORY_OFFSET));
        *offsets = { (size_t)Mine->Number(), (size_t)Mine->Number() };
        WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(&s, (WDFMEMORY)Game.Pick(KindOf<WDFMEMORY>()), Mine->Flip() ? offsets : nullptr);
    } else {
        memset(&s, 0, sizeof(s));
        s.Type = (WDF_MEMORY_DESCRIPTOR_TYPE)(kind % 8);
    }
}

template <> inline void Fix(WDF_FILEOBJECT_CONFIG &s)
{
    Put(s.EvtDeviceFileCreate);
    Put(s.EvtFileClose);
    Put(s.EvtFileCleanup);
}

/* A device that loses power waits for the requests that its client has. */
inline void StopIo(WDFQUEUE, WDFREQUEST request, ULONG flags)
{
    if (Mine && !(flags & WdfRequestStopActionPurge) && Mine->Flip())
        return WdfRequestStopAcknowledge(request, FALSE);
    if (flags & WdfRequestStopRequestCancelable)
        WdfRequestUnmarkCancelable(request);
    WdfRequestComplete(request, STATUS_CANCELLED);
}

template <> inline void Fix(WDF_IO_QUEUE_CONFIG &s)
{
    s.DispatchType = (WDF_IO_QUEUE_DISPATCH_TYPE)(Mine->Byte() % 5);
    Put(s.EvtIoDefault);
    Put(s.EvtIoRead);
    Put(s.EvtIoWrite);
    Put(s.EvtIoDeviceControl);
    Put(s.EvtIoInternalDeviceControl);
    s.EvtIoStop = StopIo;
    Put(s.EvtIoResume);
    Put(s.EvtIoCanceledOnQueue);
    Put(s.Driver);
}

template <> inline void Fix(WDF_TIMER_CONFIG &s) { Put(s.EvtTimerFunc); }
template <> inline void Fix(WDF_WORKITEM_CONFIG &s) { Put(s.EvtWorkItemFunc); }
template <> inline void Fix(WDF_DPC_CONFIG &s) { Put(s.EvtDpcFunc); }

/* The client's queues; the rest of it is in client.cpp. */
EVT_NET_ADAPTER_CREATE_TXQUEUE CreateTx;
EVT_NET_ADAPTER_CREATE_RXQUEUE CreateRx;
EVT_PACKET_QUEUE_ADVANCE TxAdvance, RxAdvance;
EVT_PACKET_QUEUE_CANCEL Cancel;

template <> inline void Fix(NET_ADAPTER_DATAPATH_CALLBACKS &s)
{
    s.EvtAdapterCreateTxQueue = Mine->Byte() % 16 ? CreateTx : nullptr;
    s.EvtAdapterCreateRxQueue = Mine->Byte() % 16 ? CreateRx : nullptr;
}

template <> inline void Fix(NET_PACKET_QUEUE_CONFIG &s)
{
    Put(s.EvtStart);
    Put(s.EvtStop);
    s.EvtAdvance = Mine->Byte() % 16 ? TxAdvance : nullptr;
    s.EvtCancel = Mine->Byte() % 16 ? Cancel : nullptr;
    Put(s.EvtSetNotificationEnabled);
    Put(s.ExecutionContext);
}

template <> inline void Fix(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES &s) { Put(s.EvtSetReceiveFilter); }
template <> inline void Fix(NET_ADAPTER_DMA_CAPABILITIES &s) { Put(s.DmaEnabler); }
template <class T> T *Make();

template <> inline void Fix(NET_ADAPTER_TX_CAPABILITIES &s)
{
    s.DmaCapabilities = Mine->Byte() % 8 ? nullptr : Make<NET_ADAPTER_DMA_CAPABILITIES>();
}

template <> inline void Fix(NET_ADAPTER_RX_CAPABILITIES &s)
{
    s.DmaCapabilities = Mine->Byte() % 8 ? nullptr : Make<NET_ADAPTER_DMA_CAPABILITIES>();
    if (s.AllocationMode == NetRxFragmentBufferAllocationModeDriver)
        Put(s.EvtAdapterReturnRxBuffer);
}

template <> inline void Fix(NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES &s) { Put(s.EvtAdapterOffloadSetTxChecksum); }
template <> inline void Fix(NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES &s) { Put(s.EvtAdapterOffloadSetRxChecksum); }
template <> inline void Fix(NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES &s) { Put(s.EvtAdapterOffloadSetChecksum); }
template <> inline void Fix(NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES &s) { Put(s.EvtAdapterOffloadSetGso); }
template <> inline void Fix(NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES &s) { Put(s.EvtAdapterOffloadSetRsc); }
template <> inline void Fix(NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES &s)
{
    Put(s.EvtAdapterReceiveScalingEnable);
    Put(s.EvtAdapterReceiveScalingDisable);
    Put(s.EvtAdapterReceiveScalingSetHashSecretKey);
    Put(s.EvtAdapterReceiveScalingSetIndirectionEntries);
}

template <> inline void Fix(NET_DEVICE_POWER_POLICY_EVENT_CALLBACKS &s) { PutAll(s, 8); }
template <> inline void Fix(NET_DEVICE_RESET_CAPABILITIES &s) { Put(s.EvtNetDeviceCollectResetDiagnostics); }
template <> inline void Fix(NET_ADAPTER_WAKE_REASON_PACKET &s) { Put(s.WakePacket); }
template <> inline void Fix(NET_EXTENSION_QUERY &s) { s.Name = AnyName(); }

