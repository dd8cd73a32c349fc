/*
 * A client driver that plays a game: every function of WDF and NetAdapterCx that the headers list,
 * in the order of the input, with arguments.hpp's arguments.
 *
 * The host compiles this as any client, so that the calls go through its table. What differs from a
 * driver is that the host also calls it: Begin, Turn as long as there are turns, Settle, Forget.
 */
#include <thread>

#include "special.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

thread_local Input *Mine;
World Game;
static Input First, Second;
static std::thread Other;
static WDFDEVICE Device;

/* --- the calls --- */

struct Function {
    char const *Name;
    void (*Call)();
};
#define ENTRY(result, name, parameters, arguments) { #name, Special<name>::Call },
static Function const Functions[] = { UMNET_NET_FUNCTIONS(ENTRY) UMNET_WDF_FUNCTIONS(ENTRY) };

/* CLIENT_CALLS_TRACE=1 tells what a game does. */
static bool const Traced = getenv("CLIENT_CALLS_TRACE");

static void CallOne()
{
    Function const &function = Functions[Mine->Bytes(2) % (sizeof(Functions) / sizeof(Functions[0]))];
    if (Traced)
        fprintf(stderr, "%*s%s\n", (int)Mine->Depth * 2, Mine == &Second ? "| " : "", function.Name);
    function.Call();
}

void Calls(unsigned most)
{
    Mine->Depth++;
    for (unsigned i = 0; i < most && Mine->Left > 0; i++)
        CallOne();
    Mine->Depth--;
}

/* --- packet queues that do their duty, so that whoever ends them is not kept waiting --- */

static void GiveBack(NET_RING_COLLECTION const *rings, bool ignored)
{
    NET_RING *packets = NetRingCollectionGetPacketRing(rings), *fragments = NetRingCollectionGetFragmentRing(rings);
    for (UINT32 index = packets->BeginIndex; ignored && index != packets->EndIndex; index = NetRingIncrementIndex(packets, index))
        NetRingGetPacketAtIndex(packets, index)->Ignore = 1;
    packets->NextIndex = packets->BeginIndex = packets->EndIndex;
    fragments->NextIndex = fragments->BeginIndex = fragments->EndIndex;
}

/* Both functions take queues of either direction: those of another are refused, and that is for
 * the game to find out. */
static NET_RING_COLLECTION const *RingsOf(NETPACKETQUEUE queue)
{
    NET_RING_COLLECTION const *rings = NetTxQueueGetRingCollection(queue);
    return rings ? rings : NetRxQueueGetRingCollection(queue);
}

void TxAdvance(NETPACKETQUEUE queue)
{
    if (auto rings = RingsOf(queue))
        GiveBack(rings, false);
}

void RxAdvance(NETPACKETQUEUE) {}

void Cancel(NETPACKETQUEUE queue)
{
    if (auto rings = RingsOf(queue))
        GiveBack(rings, true);
}

template <class Init, class Create> static NTSTATUS CreateQueue(Init *init, Create create, PFN_PACKET_QUEUE_ADVANCE advance)
{
    NET_PACKET_QUEUE_CONFIG config;
    NETPACKETQUEUE queue = nullptr;
    Learn(init);
    NET_PACKET_QUEUE_CONFIG_INIT(&config, advance, Quiet<void, NETPACKETQUEUE, BOOLEAN>, Cancel);
    if (Mine)
        Calls(Mine->Byte() % 4);
    NTSTATUS status = create(init, nullptr, &config, &queue);
    Learn(queue);
    if (Mine)
        Calls(Mine->Byte() % 4);
    return Mine && Mine->Byte() % 16 == 15 ? STATUS_UNSUCCESSFUL : status;
}

NTSTATUS CreateTx(NETADAPTER, NETTXQUEUE_INIT *init) { return CreateQueue(init, NetTxQueueCreate, TxAdvance); }
NTSTATUS CreateRx(NETADAPTER, NETRXQUEUE_INIT *init) { return CreateQueue(init, NetRxQueueCreate, RxAdvance); }

/* --- one device, brought up as it should be but for what the game does on the way --- */

static void StateAll(NETADAPTER adapter)
{
    static UCHAR const mac[6] = { 2, 0, 0, 0, 0x51, 1 };
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_LINK_STATE state;
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, 1000000000, 1000000000);
    NetAdapterSetLinkLayerCapabilities(adapter, &link);
    NetAdapterSetLinkLayerMtuSize(adapter, 1500);
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof(mac), mac);
    NetAdapterSetPermanentLinkLayerAddress(adapter, &address);
    NetAdapterSetCurrentLinkLayerAddress(adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, 1);
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, 2048, 1);
    NetAdapterSetDataPathCapabilities(adapter, &tx, &rx);
    NET_ADAPTER_LINK_STATE_INIT(&state, 1000000000, MediaConnectStateConnected, MediaDuplexStateFull, NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(adapter, &state);
}

static NETADAPTER Adapter;

static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    Learn(raw);
    NTSTATUS status = Quiet<NTSTATUS>(device, translated);
    StateAll(Adapter);
    if (Mine)
        Calls(Mine->Byte() % 8);
    NetAdapterStart(Adapter);
    return status;
}

static NTSTATUS CreateAdapter()
{
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NETADAPTER_INIT *init = NetAdapterInitAllocate(Device);
    Learn(init);
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
    NetAdapterInitSetDatapathCallbacks(init, &callbacks);
    Calls(Mine->Byte() % 4);
    NTSTATUS status = NetAdapterCreate(init, nullptr, &Adapter);
    Learn(Adapter);
    NetAdapterInitFree(init);
    return status;
}

static void CreateIoQueue()
{
    WDF_IO_QUEUE_CONFIG config;
    WDFQUEUE queue = nullptr;
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, (WDF_IO_QUEUE_DISPATCH_TYPE)(1 + Mine->Byte() % 3));
    config.EvtIoDefault = Quiet<void, WDFQUEUE, WDFREQUEST>;
    config.EvtIoStop = StopIo;
    WdfIoQueueCreate(Device, &config, nullptr, &queue);
    Learn(queue);
}

static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    WDF_PNPPOWER_EVENT_CALLBACKS pnp;
    if (!Mine)
        return STATUS_UNSUCCESSFUL;
    Learn(driver);
    Learn(init);
    NetDeviceInitConfig(init);
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
    PutAll(pnp, 8);
    pnp.EvtDevicePrepareHardware = PrepareHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    Calls(Mine->Byte() % 8);
    NTSTATUS status = WdfDeviceCreate(&init, nullptr, &Device);
    Learn(Device);
    if (NT_SUCCESS(status))
        status = CreateAdapter();
    if (Mine->Byte() % 2)
        CreateIoQueue();
    Calls(Mine->Byte() % 8);
    return status;
}

EXPORT NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    WDF_DRIVER_CONFIG config;
    WDFDRIVER driver = nullptr;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    NTSTATUS status = WdfDriverCreate(object, path, nullptr, &config, &driver);
    Learn(driver);
    return status;
}

/* --- what the host calls beside that --- */

/* Every other game is played by two threads, each with half of the bytes. */
EXPORT void Begin(uint8_t const *bytes, size_t length)
{
    First = { bytes, length };
    Game.Alone = First.Byte() % 2 == 0;
    size_t half = Game.Alone ? 0 : First.Left / 2;
    First.Left -= half;
    Second = { First.At + First.Left, half };
    Mine = &First;
    Device = nullptr;
    Adapter = nullptr;
}

/* The second thread, once there is a device. */
EXPORT void Both(void)
{
    if (Game.Alone)
        return;
    Other = std::thread([] {
        Mine = &Second;
        while (Mine->Left > 0)
            Calls(1);
    });
}

/* Makes calls until something is to happen from outside, and says what; 0 at the end. */
EXPORT unsigned Turn(unsigned *argument)
{
    while (First.Left > 0) {
        uint8_t what = First.Byte();
        if (what >= 232) {
            *argument = (unsigned)First.Number();
            if (Traced)
                fprintf(stderr, "event %u\n", what - 231);
            return what - 231;
        }
        CallOne();
    }
    return 0;
}

/* Gives back what a client has to: references that it took, requests that it was given. */
EXPORT void Settle(void)
{
    if (Other.joinable())
        Other.join();
    Mine = nullptr;
    for (auto const &[handle, count] : Game.References)
        for (unsigned i = 0; i < count; i++)
            WdfObjectDereference(handle);
    for (void *request : Game.ByKind[KindOf<WDFREQUEST>()])
        WdfRequestComplete((WDFREQUEST)request, STATUS_CANCELLED);
}

static bool MemoryWorks(WDFMEMORY memory)
{
    char in[] = "sound", out[sizeof(in)] = "";
    return NT_SUCCESS(WdfMemoryCopyFromBuffer(memory, 8, in, sizeof(in))) && NT_SUCCESS(WdfMemoryCopyToBuffer(memory, 8, out, sizeof(out))) && !strcmp(in, out);
}

/* Whether what is done by the rules works as if nothing had happened. */
EXPORT bool Works(void)
{
    WDFCOLLECTION collection = nullptr;
    WDFMEMORY memory = nullptr;
    WDFSPINLOCK lock = nullptr;
    bool works = NT_SUCCESS(WdfCollectionCreate(nullptr, &collection));
    works &= NT_SUCCESS(WdfMemoryCreate(nullptr, PagedPool, 0, 64, &memory, nullptr)) && MemoryWorks(memory);
    works &= NT_SUCCESS(WdfCollectionAdd(collection, memory)) && WdfCollectionGetFirstItem(collection) == memory;
    works &= NT_SUCCESS(WdfSpinLockCreate(nullptr, &lock));
    WdfSpinLockAcquire(lock);
    WdfSpinLockRelease(lock);
    WdfObjectDelete(lock);
    WdfObjectDelete(collection);
    WdfObjectDelete(memory);
    return works;
}

/* Nothing of the game is there any more. */
EXPORT void Forget(void)
{
    Game.Forget();
}
