/*
 * Faults of queue creation, and of the functions that take a queue.
 */
#include "faulty.h"

static NETTXQUEUE_INIT *Late;
static NETPACKETQUEUE Before;

static DWORD WINAPI Create(LPVOID init)
{
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE queue;
    NET_PACKET_QUEUE_CONFIG_INIT(&config, TxAdvance, SetNotificationEnabled, TxCancel);
    return (DWORD)NetTxQueueCreate((NETTXQUEUE_INIT *)init, WDF_NO_OBJECT_ATTRIBUTES, &config, &queue);
}

static void CreateElsewhere(SCENE *scene)
{
    HANDLE thread = CreateThread(NULL, 0, Create, scene->TxInit, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static void KeepInit(SCENE *scene) { Late = scene->TxInit; }

static void CreateLate(SCENE *scene)
{
    UNREFERENCED_PARAMETER(scene);
    Create(Late);
}

static void CreateAgain(SCENE *scene) { scene->Status = (NTSTATUS)Create(scene->TxInit); }
static void CreateNothing(SCENE *scene) { scene->Config = NULL; }
static void Refuse(SCENE *scene) { scene->Status = STATUS_INSUFFICIENT_RESOURCES; }

static void NoAdvance(SCENE *scene) { scene->Config->EvtAdvance = NULL; }
static void NoNotification(SCENE *scene) { scene->Config->EvtSetNotificationEnabled = NULL; }
static void NoCancel(SCENE *scene) { scene->Config->EvtCancel = NULL; }
static void ShortConfig(SCENE *scene) { scene->Config->Size -= 1; }
static void OwnContext(SCENE *scene) { scene->Config->ExecutionContext = (NETEXECUTIONCONTEXT)scene; }
static void QueueParent(SCENE *scene) { scene->Attributes->ParentObject = scene->Adapter; }
static void HugeContext(SCENE *scene) { scene->Attributes->ContextSizeOverride = (SIZE_T)1 << 40; }

static void WrongDirection(SCENE *scene) { NetRxQueueGetRingCollection(scene->Queue); }
static void NoQueueAtAll(SCENE *scene) { NetTxQueueGetRingCollection((NETPACKETQUEUE)scene->Adapter); }
static void NoDemux(SCENE *scene) { NetTxQueueGetDemux8021p(scene->Queue); }

static void Query(SCENE *scene, PCWSTR name, ULONG version, int type, ULONG size)
{
    NET_EXTENSION_QUERY query;
    NET_EXTENSION extension;
    NET_EXTENSION_QUERY_INIT(&query, name, version, (NET_EXTENSION_TYPE)type);
    query.Size = size;
    NetTxQueueGetExtension(scene->Queue, &query, &extension);
}

static void UnknownExtension(SCENE *scene) { Query(scene, L"ms_packet_nothing", 1, 1, sizeof(NET_EXTENSION_QUERY)); }
static void NamelessExtension(SCENE *scene) { Query(scene, NULL, 1, 1, sizeof(NET_EXTENSION_QUERY)); }
static void VersionZero(SCENE *scene) { Query(scene, L"ms_packet_checksum", 0, 1, sizeof(NET_EXTENSION_QUERY)); }
static void TypeNine(SCENE *scene) { Query(scene, L"ms_packet_checksum", 1, 9, sizeof(NET_EXTENSION_QUERY)); }
static void ShortQuery(SCENE *scene) { Query(scene, L"ms_packet_checksum", 1, 1, 16); }

static void DeleteTheOneBefore(SCENE *scene)
{
    if (Before)
        WdfObjectDelete(Before);
    Before = scene->Queue;
}

static void NotifyEarly(SCENE *scene) { NetTxQueueNotifyMoreCompletedPacketsAvailable(scene->Queue); }

const FAULT QueueFaults[] = {
    { "CreatingNetQueueFromWrongThread", AT_TX_CONFIG, CreateElsewhere },
    { "BadQueueInitContext", AT_TX_CONFIG, KeepInit },
    { "BadQueueInitContext", AT_RX_CONFIG, CreateLate },
    { "QueueAlreadyCreated", AT_TX_CREATED, CreateAgain },
    { "NetQueueInvalidConfiguration", AT_TX_CONFIG, NoAdvance },
    { "NetQueueInvalidConfiguration/notification", AT_RX_CONFIG, NoNotification },
    { "NetQueueInvalidConfiguration/cancel", AT_TX_CONFIG, NoCancel },
    { "InvalidStructTypeSize", AT_TX_CONFIG, ShortConfig },
    { "InvalidExecutionContextConfig", AT_TX_CONFIG, OwnContext },
    { "ParentObjectNotNull/queue", AT_TX_CONFIG, QueueParent },
    { "ObjectAttributesContextSizeTooLarge/queue", AT_TX_CONFIG, HugeContext },
    { "InvalidQueueHandle", AT_TX_CREATED, WrongDirection },
    { "InvalidQueueHandle/adapter", AT_TX_CREATED, NoQueueAtAll },
    { "DemuxNotPresent", AT_TX_CREATED, NoDemux },
    { "InvalidNetExtensionName", AT_TX_CREATED, UnknownExtension },
    { "InvalidNetExtensionName/null", AT_TX_CREATED, NamelessExtension },
    { "InvalidNetExtensionVersion", AT_TX_CREATED, VersionZero },
    { "InvalidNetExtensionType", AT_TX_CREATED, TypeNine },
    { "InvalidStructTypeSize/query", AT_TX_CREATED, ShortQuery },
    { "WDF_OBJECT_ERROR/queue", AT_RX_CREATED, DeleteTheOneBefore },
    { "ShimNotifyOutsideStart", AT_TX_CREATED, NotifyEarly },
    /* Not codes but statuses: a callback that says yes and creates nothing, one that says no. */
    { "-no-queue", AT_TX_CONFIG, CreateNothing },
    { "-refused-queue", AT_TX_CONFIG, Refuse },
    { NULL, AT_TX_CONFIG, NULL }
};
