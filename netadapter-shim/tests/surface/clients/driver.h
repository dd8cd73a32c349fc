/* The rest of what surface.h begins: the device and its driver. */
enum { LinkSpeed = 1000000000 };

static EVT_WDF_DEVICE_PREPARE_HARDWARE PrepareHardware;
static NTSTATUS PrepareHardware(WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    static UCHAR const mac[6] = { 2, 0, 0, 0, 0x51, 1 };
    NET_ADAPTER_LINK_LAYER_CAPABILITIES link;
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    NET_ADAPTER_TX_CAPABILITIES tx;
    NET_ADAPTER_RX_CAPABILITIES rx;
    NET_ADAPTER_LINK_STATE state;
    UNREFERENCED_PARAMETER(raw);
    UNREFERENCED_PARAMETER(translated);
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(&link, LinkSpeed, LinkSpeed);
    NetAdapterSetLinkLayerCapabilities(Adapter, &link);
    NetAdapterSetLinkLayerMtuSize(Adapter, 1500);
    NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(&address, sizeof(mac), mac);
    NetAdapterSetPermanentLinkLayerAddress(Adapter, &address);
    NetAdapterSetCurrentLinkLayerAddress(Adapter, &address);
    NET_ADAPTER_TX_CAPABILITIES_INIT(&tx, MostQueues);
    tx.FragmentRingNumberOfElementsHint = 8;
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(&rx, FrameSize, MostQueues);
    rx.FragmentRingNumberOfElementsHint = 8;
    NetAdapterSetDataPathCapabilities(Adapter, &tx, &rx);
    NET_ADAPTER_LINK_STATE_INIT(&state, LinkSpeed, MediaConnectStateConnected, MediaDuplexStateFull, NetAdapterPauseFunctionTypeUnsupported, NetAdapterAutoNegotiationFlagNone);
    NetAdapterSetLinkState(Adapter, &state);
    State(device, Adapter);
    NTSTATUS status = NetAdapterStart(Adapter);
    if (NT_SUCCESS(status))
        Started(Adapter);
    return status;
}

static EVT_WDF_DEVICE_D0_ENTRY D0Entry;
static NTSTATUS D0Entry(WDFDEVICE device, WDF_POWER_DEVICE_STATE previous)
{
    UNREFERENCED_PARAMETER(previous);
    PowerUp(device);
    return STATUS_SUCCESS;
}

static EVT_WDF_DEVICE_D0_EXIT D0Exit;
static NTSTATUS D0Exit(WDFDEVICE device, WDF_POWER_DEVICE_STATE target)
{
    UNREFERENCED_PARAMETER(target);
    PowerDown(device);
    return STATUS_SUCCESS;
}

static NTSTATUS CreateAdapter(WDFDEVICE device)
{
    NET_ADAPTER_DATAPATH_CALLBACKS callbacks;
    NETADAPTER_INIT *init = NetAdapterInitAllocate(device);
    if (!init)
        return STATUS_INSUFFICIENT_RESOURCES;
    NET_ADAPTER_DATAPATH_CALLBACKS_INIT(&callbacks, CreateTx, CreateRx);
    NetAdapterInitSetDatapathCallbacks(init, &callbacks);
    Create(device, init);
    NTSTATUS status = NetAdapterCreate(init, WDF_NO_OBJECT_ATTRIBUTES, &Adapter);
    NetAdapterInitFree(init);
    return status;
}

static EVT_WDF_DRIVER_DEVICE_ADD DeviceAdd;
static NTSTATUS DeviceAdd(WDFDRIVER driver, PWDFDEVICE_INIT init)
{
    WDF_PNPPOWER_EVENT_CALLBACKS pnp;
    UNREFERENCED_PARAMETER(driver);
    NTSTATUS status = NetDeviceInitConfig(init);
    if (!NT_SUCCESS(status))
        return status;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
    pnp.EvtDevicePrepareHardware = PrepareHardware;
    pnp.EvtDeviceD0Entry = D0Entry;
    pnp.EvtDeviceD0Exit = D0Exit;
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
    Init(init);
    status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &Device);
    return NT_SUCCESS(status) ? CreateAdapter(Device) : status;
}

#ifdef __cplusplus
#define FOR_THE_TEST extern "C" __attribute__((visibility("default")))
#else
#define FOR_THE_TEST __attribute__((visibility("default")))
#endif

/* What the test calls, beside what the framework calls. */
FOR_THE_TEST void Command(ULONG number, ULONG argument)
{
    Do(number, argument);
}

#ifdef __cplusplus
extern "C"
#endif
NTSTATUS DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING path)
{
    WDF_DRIVER_CONFIG config;
    WDF_OBJECT_ATTRIBUTES attributes;
    WDFDRIVER driver;
    WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
    NTSTATUS status = WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, &driver);
    if (!NT_SUCCESS(status))
        return status;
    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = driver;
    return WdfSpinLockCreate(&attributes, &Lock);
}
