/*
 * Faults of calls: wrong arguments, the wrong phase, thread or IRQL.
 */
#include "faulty.h"
#include <ntddk.h>     /* KeRaiseIrql */

/* Calls the function that the wrapper would call, with other globals. */
static void OtherGlobals(SCENE *scene)
{
    static ULONG64 mine[8];
    ((UMNET_PFN_NetAdapterStop)UmnetFunctions[NetAdapterStopTableIndex])(mine, scene->Adapter);
}

static void SpinLockHeld(SCENE *scene)
{
    WDFSPINLOCK lock;
    WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &lock);
    WdfSpinLockAcquire(lock);
    NetAdapterSetLinkLayerMtuSize(scene->Adapter, 1400);
    WdfSpinLockRelease(lock);
}

/* The verifier makes every second Advance at DISPATCH_LEVEL. */
static void PassiveInAdvance(SCENE *scene)
{
    NetRxQueueGetRingCollection(scene->Queue);
}

static void TooHigh(SCENE *scene)
{
    NET_ADAPTER_LINK_STATE state;
    KIRQL old;
    NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED(&state);
    KeRaiseIrql(15, &old);
    NetAdapterSetLinkState(scene->Adapter, &state);
    KeLowerIrql(old);
}

static void NoLinkState(SCENE *scene)
{
    NetAdapterSetLinkState(scene->Adapter, NULL);
}

static void NotAnAdapter(SCENE *scene)
{
    NetAdapterSetLinkLayerMtuSize((NETADAPTER)scene->Device, 1400);
}

/* --- phases --- */

static void StateAgain(SCENE *scene)
{
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1, 1);
    NetAdapterSetLinkLayerCapabilities(scene->Adapter, &link);
}

static void StartAgain(SCENE *scene)
{
    NetAdapterStart(scene->Adapter);
}

static void PauseEarly(SCENE *scene)
{
    NetAdapterPauseOffloadCapabilities(scene->Adapter);
}

static void ResumeUnpaused(SCENE *scene)
{
    NetAdapterResumeOffloadCapabilities(scene->Adapter);
}

static void DeleteStarted(SCENE *scene)
{
    WdfObjectDelete(scene->Adapter);
}

static void Deprecated(SCENE *scene)
{
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES old;
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES_INIT(&old, TRUE, TRUE, TRUE, NULL);
    NetAdapterOffloadSetChecksumCapabilities(scene->Adapter, &old);
}

/* --- init objects and attributes --- */

static void ForeignInit(SCENE *scene)
{
    NetAdapterInitSetDatapathCallbacks((NETADAPTER_INIT *)scene->Device, scene->Datapath);
}

static void FreedInit(SCENE *scene)
{
    NetAdapterInitSetDatapathCallbacks(scene->AdapterInit, scene->Datapath);
}

static void CreateTwice(SCENE *scene)
{
    NETADAPTER second;
    scene->Status = NetAdapterCreate(scene->AdapterInit, WDF_NO_OBJECT_ATTRIBUTES, &second);
}

static void HalfADatapath(SCENE *scene)
{
    scene->Datapath->EvtAdapterCreateRxQueue = NULL;
}

static void ShortCallbacks(SCENE *scene)
{
    scene->Datapath->Size -= 8;
}

static void NoCallbacks(SCENE *scene)
{
    NetAdapterInitSetDatapathCallbacks(scene->AdapterInit, NULL);
}

static void AdapterParent(SCENE *scene)
{
    scene->Attributes->ParentObject = scene->Device;
}

typedef struct {
    ULONG Word;
} SMALL;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(SMALL, GetSmall)

static void HugeContext(SCENE *scene)
{
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(scene->Attributes, SMALL);
    scene->Attributes->ContextSizeOverride = (SIZE_T)1 << 40;
}

/* --- receive filter and configuration --- */

static DWORD WINAPI ReadFilter(LPVOID filter)
{
    return NetReceiveFilterGetPacketFilter((NETRECEIVEFILTER)filter);
}

static void FilterElsewhere(SCENE *scene)
{
    HANDLE thread = CreateThread(NULL, 0, ReadFilter, scene->Filter, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static void OddFlag(SCENE *scene)
{
    DECLARE_CONST_UNICODE_STRING(name, L"Number");
    ULONG value;
    NetConfigurationQueryUlong(scene->Configuration, (NET_CONFIGURATION_QUERY_ULONG_FLAGS)8, &name, &value);
}

/* --- power, wake, reset --- */

static void PowerList(SCENE *scene)
{
    NET_POWER_OFFLOAD_LIST list;
    NET_POWER_OFFLOAD_LIST_INIT(&list);
    NetDeviceGetPowerOffloadList(scene->Device, &list);
}

static void ForeignPowerList(SCENE *scene)
{
    NET_POWER_OFFLOAD_LIST list;
    UNREFERENCED_PARAMETER(scene);
    NET_POWER_OFFLOAD_LIST_INIT(&list);
    NetPowerOffloadListGetCount(&list);
}

static void ForeignWakeList(SCENE *scene)
{
    NET_WAKE_SOURCE_LIST list;
    UNREFERENCED_PARAMETER(scene);
    NET_WAKE_SOURCE_LIST_INIT(&list);
    NetWakeSourceListGetCount(&list);
}

static void WakeWhileAwake(SCENE *scene)
{
    NET_ADAPTER_WAKE_REASON_PACKET reason;
    NET_ADAPTER_WAKE_REASON_MAGIC_PACKET_INIT(&reason);
    NetAdapterReportWakeReasonPacket(scene->Adapter, &reason);
}

static void UnknownMediaChange(SCENE *scene)
{
    NetAdapterReportWakeReasonMediaChange(scene->Adapter, MediaConnectStateUnknown);
}

static void ManyDiagnostics(SCENE *scene)
{
    static UINT8 const bytes[16];
    NetDeviceStoreResetDiagnostics(scene->Device, ((SIZE_T)1 << 20) + 1, bytes);
}

static void DiagnosticsUnasked(SCENE *scene)
{
    static UINT8 const bytes[16];
    NetDeviceStoreResetDiagnostics(scene->Device, sizeof bytes, bytes);
}

static void ShortWakeCapabilities(SCENE *scene)
{
    NET_ADAPTER_WAKE_BITMAP_CAPABILITIES bitmap;
    NET_ADAPTER_WAKE_BITMAP_CAPABILITIES_INIT(&bitmap);
    bitmap.Size -= 8;
    NetAdapterWakeSetBitmapCapabilities(scene->Adapter, &bitmap);
}

const FAULT CallFaults[] = {
    { "CorruptedPrivateGlobals", AT_PREPARE, OtherGlobals },
    { "IrqlIsNotPassive", AT_PREPARE, SpinLockHeld },
    { "IrqlIsNotPassive/advance", AT_RX_ADVANCE, PassiveInAdvance },
    { "IrqlNotLessOrEqualDispatch", AT_PREPARE, TooHigh },
    { "ParameterCantBeNull", AT_PREPARE, NoLinkState },
    { "ParameterCantBeNull/callbacks", AT_ADAPTER_INIT, NoCallbacks },
    { "ShimInvalidObjectHandle", AT_PREPARE, NotAnAdapter },
    { "AdapterAlreadyStarted", AT_STARTED, StateAgain },
    { "AdapterAlreadyStarted/start", AT_STARTED, StartAgain },
    { "AdapterNotStarted", AT_PREPARE, PauseEarly },
    { "OffloadNotPaused", AT_STARTED, ResumeUnpaused },
    { "RemovingDeviceWithAdapters", AT_D0_EXIT, DeleteStarted },
    { "DeprecatedFunction", AT_PREPARE, Deprecated },
    { "InvalidNetAdapterInitSignature", AT_ADAPTER_INIT, ForeignInit },
    { "InvalidNetAdapterInitSignature/freed", AT_ADAPTER_FREED, FreedInit },
    { "NetAdapterInitAlreadyUsed", AT_ADAPTER_CREATED, CreateTwice },
    { "InvalidDatapathCallbacks", AT_DATAPATH_CALLBACKS, HalfADatapath },
    { "InvalidStructTypeSize/callbacks", AT_DATAPATH_CALLBACKS, ShortCallbacks },
    { "InvalidStructTypeSize/wake", AT_PREPARE, ShortWakeCapabilities },
    { "ParentObjectNotNull", AT_ADAPTER_INIT, AdapterParent },
    { "ObjectAttributesContextSizeTooLarge", AT_ADAPTER_INIT, HugeContext },
    { "SetReceiveFilterFromWrongThread", AT_FILTER, FilterElsewhere },
    { "InvalidQueryUlongFlag", AT_CONFIGURATION, OddFlag },
    { "PowerNotInTransition", AT_STARTED, PowerList },
    { "InvalidPowerOffloadListSignature", AT_STARTED, ForeignPowerList },
    { "InvalidWakeSourceListSignature", AT_STARTED, ForeignWakeList },
    { "WakeNotInProgress", AT_STARTED, WakeWhileAwake },
    { "InvalidNetAdapterWakeReasonMediaChange", AT_STARTED, UnknownMediaChange },
    { "ResetDiagnosticsSizeTooLarge", AT_STARTED, ManyDiagnostics },
    { "IsNotCollectingResetDiagnostics", AT_STARTED, DiagnosticsUnasked },
    { NULL, AT_PREPARE, NULL }
};
