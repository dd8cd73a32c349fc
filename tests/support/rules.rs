//! What stands for a broken rule where no failure code does: a status, or a refusal to load.

const NOT_SUPPORTED: &str = "STATUS_NOT_SUPPORTED";
const INVALID: &str = "STATUS_INVALID_PARAMETER";
const ADD: &str = "EvtDriverDeviceAdd";
/// The client returns NetAdapterStart's status from it.
const START: &str = "EvtDevicePrepareHardware";
const QUEUES: &str = "creating the queues";

/// Faults that a status stands for: the fault, the step that fails, its status.
pub(crate) const RULES: [(&str, &str, &str); 56] = [
    ("InvalidAdapterTxCapabilities", START, NOT_SUPPORTED),
    ("InvalidAdapterRxCapabilities", START, NOT_SUPPORTED),
    (
        "InvalidAdapterRxCapabilities/allocation",
        START,
        NOT_SUPPORTED,
    ),
    (
        "InvalidAdapterRxCapabilities/attachment",
        START,
        NOT_SUPPORTED,
    ),
    ("InvalidAdapterTxCapabilities/mapping", START, INVALID),
    ("InvalidAdapterRxCapabilities/mapping", START, INVALID),
    ("InvalidAdapterTxCapabilities/queues", START, INVALID),
    ("InvalidAdapterTxCapabilities/alignment", START, INVALID),
    ("InvalidAdapterRxCapabilities/queues", START, INVALID),
    ("NotPowerOfTwo", START, INVALID),
    ("NotPowerOfTwo/tx-ring", START, INVALID),
    ("NotPowerOfTwo/rx-ring", START, INVALID),
    ("NotPowerOfTwo/scaling", START, INVALID),
    ("NotPowerOfTwo/table", START, INVALID),
    ("ShimMaximumFrameSize", START, INVALID),
    ("InvalidStructTypeSize/tx", START, INVALID),
    ("InvalidStructTypeSize/rx", START, INVALID),
    ("InvalidStructTypeSize/link", START, INVALID),
    ("InvalidStructTypeSize/gso", START, INVALID),
    ("MacAddressLengthTooLong/permanent", START, INVALID),
    ("InvalidReceiveFilterCapabilities", START, INVALID),
    ("InvalidReceiveFilterCapabilities/list", START, INVALID),
    ("InvalidReceiveFilterCapabilities/flag", START, INVALID),
    ("InvalidReceiveFilterCapabilities/nothing", START, INVALID),
    ("InvalidSetReceiveFilterCallBack", START, INVALID),
    ("InvalidTxChecksumCapabilities", START, INVALID),
    ("InvalidTxChecksumCapabilities/tcp", START, INVALID),
    ("InvalidTxChecksumHardwareCapabilities", START, INVALID),
    ("InvalidTxChecksumLayer4Capabilities", START, INVALID),
    ("InvalidTxChecksumIPv6Flags", START, INVALID),
    ("InvalidGsoCapabilities", START, INVALID),
    ("InvalidGsoCapabilities/segments", START, INVALID),
    ("InvalidGsoCapabilities/options", START, INVALID),
    ("InvalidGsoHardwareCapabilities", START, INVALID),
    ("InvalidReceiveScalingHashType", START, INVALID),
    ("InvalidReceiveScalingProtocolType", START, INVALID),
    ("InvalidReceiveScalingEncapsulationType", START, INVALID),
    ("InvalidRSSConfiguration", START, INVALID),
    ("InvalidTxDemuxType", ADD, INVALID),
    ("InvalidTxDemuxRange", ADD, INVALID),
    ("InvalidDatapathCallbacks", ADD, INVALID),
    ("InvalidStructTypeSize/callbacks", ADD, INVALID),
    ("ParameterCantBeNull/callbacks", ADD, INVALID),
    ("NetAdapterInitAlreadyUsed", ADD, INVALID),
    ("ObjectAttributesContextSizeTooLarge", ADD, INVALID),
    (
        "ParentObjectNotNull",
        ADD,
        "STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED",
    ),
    (
        "ParentObjectNotNull/queue",
        QUEUES,
        "STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED",
    ),
    ("ObjectAttributesContextSizeTooLarge/queue", QUEUES, INVALID),
    ("NetQueueInvalidConfiguration", QUEUES, INVALID),
    ("NetQueueInvalidConfiguration/notification", QUEUES, INVALID),
    ("NetQueueInvalidConfiguration/cancel", QUEUES, INVALID),
    ("InvalidStructTypeSize", QUEUES, INVALID),
    ("InvalidExecutionContextConfig", QUEUES, INVALID),
    ("QueueAlreadyCreated", QUEUES, INVALID),
    ("-no-queue", QUEUES, "STATUS_UNSUCCESSFUL"),
    ("-refused-queue", QUEUES, "STATUS_INSUFFICIENT_RESOURCES"),
];

/// Libraries that are not loaded: what is wrong, how to compile it so, what the line says, and the
/// status it names.
pub(crate) const LOADING: [(&str, &[&str], &str, &str); 9] = [
    (
        "no DriverEntry",
        &["DriverEntry=Other"],
        "no DriverEntry",
        "",
    ),
    (
        "no bind structure",
        &["UmnetClient=Other"],
        "no UmnetClient",
        "",
    ),
    (
        "major version 1",
        &["MAJOR=1"],
        "NetAdapterCx 1.5",
        NOT_SUPPORTED,
    ),
    (
        "major version 3",
        &["MAJOR=3"],
        "NetAdapterCx 3.5",
        NOT_SUPPORTED,
    ),
    (
        "minor version too old",
        &["MINOR=4"],
        "NetAdapterCx 2.4",
        NOT_SUPPORTED,
    ),
    (
        "minor version too new",
        &["MINOR=7"],
        "NetAdapterCx 2.7",
        NOT_SUPPORTED,
    ),
    (
        "bind structure of another size",
        &["SIZE=48"],
        "Size is 48, expected 56",
        "",
    ),
    (
        "a table that is missing",
        &["NO_TABLE"],
        "1 functions without a table",
        "",
    ),
    (
        "a function that does not exist",
        &["FUNCTION=\"NetAdapterFly\""],
        "NetAdapterFly",
        "",
    ),
];
