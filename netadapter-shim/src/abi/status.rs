//! NTSTATUS values this framework returns and the failure codes it names.

use std::fmt;

/// An NTSTATUS. Negative values are failures.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtStatus(pub i32);

/// Turns the usual unsigned spelling of an NTSTATUS into the newtype.
const fn status(code: u32) -> NtStatus {
    NtStatus(i32::from_ne_bytes(code.to_ne_bytes()))
}

/// Names used both for the constants and when a status is printed.
macro_rules! statuses {
    ($($(#[$meta:meta])* $name:ident = $code:expr),+ $(,)?) => {
        impl NtStatus {
            $($(#[$meta])* pub const $name: NtStatus = status($code);)+

            /// The `STATUS_*` name, if this framework knows it.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(concat!("STATUS_", stringify!($name))),)+
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    /// The call did what was asked.
    SUCCESS = 0x0000_0000,
    /// The wait ended by its timeout; no failure.
    TIMEOUT = 0x0000_0102,
    /// The object or context was there already; the call went on with it.
    OBJECT_NAME_EXISTS = 0x4000_0000,
    /// The data did not fit into the buffer.
    BUFFER_OVERFLOW = 0x8000_0005,
    /// Failure without a better word, such as a queue callback without a queue.
    UNSUCCESSFUL = 0xC000_0001,
    /// A structure is not as large as its kind.
    INFO_LENGTH_MISMATCH = 0xC000_0004,
    /// Not a handle, or not one any more.
    INVALID_HANDLE = 0xC000_0008,
    /// An argument breaks the contract.
    INVALID_PARAMETER = 0xC000_000D,
    /// The device or object is not in a state that allows the request.
    INVALID_DEVICE_REQUEST = 0xC000_0010,
    /// A configuration key has another type than the one asked for.
    OBJECT_TYPE_MISMATCH = 0xC000_0024,
    /// Somebody may not do this, or not now.
    ACCESS_DENIED = 0xC000_0022,
    /// The buffer is too small, or there is none.
    BUFFER_TOO_SMALL = 0xC000_0023,
    /// A name is missing or malformed.
    OBJECT_NAME_INVALID = 0xC000_0033,
    /// A configuration key does not exist.
    OBJECT_NAME_NOT_FOUND = 0xC000_0034,
    /// The object is being deleted.
    DELETE_PENDING = 0xC000_0056,
    /// Memory or another resource ran out.
    INSUFFICIENT_RESOURCES = 0xC000_009A,
    /// A size does not fit into its type.
    INTEGER_OVERFLOW = 0xC000_0095,
    /// The wait ran into its deadline.
    IO_TIMEOUT = 0xC000_00B5,
    /// The path of a key or a device does not exist.
    OBJECT_PATH_NOT_FOUND = 0xC000_003A,
    /// Something by that name or number exists already.
    OBJECT_NAME_COLLISION = 0xC000_0035,
    /// The request is understood and not offered here.
    NOT_SUPPORTED = 0xC000_00BB,
    /// The device reported an error or vanished.
    DEVICE_NOT_CONNECTED = 0xC000_009D,
    /// The attributes name a parent where the framework chooses it.
    WDF_PARENT_ASSIGNMENT_NOT_ALLOWED = 0xC020_020F,
    /// The attributes contradict themselves.
    WDF_OBJECT_ATTRIBUTES_INVALID = 0xC020_0209,
    /// The attributes must name a parent and do not.
    WDF_PARENT_NOT_SPECIFIED = 0xC020_0212,
    /// This object has no execution level of its own.
    WDF_EXECUTION_LEVEL_INVALID = 0xC020_0211,
    /// This object has no synchronization scope of its own.
    WDF_SYNCHRONIZATION_SCOPE_INVALID = 0xC020_0210,
    /// The request was completed already.
    INTERNAL_ERROR = 0xC000_00E5,
    /// The request was cancelled.
    CANCELLED = 0xC000_0120,
    /// The driver called what it may call once only, again.
    DRIVER_INTERNAL_ERROR = 0xC000_0183,
    /// There is nothing more to be had.
    NO_MORE_ENTRIES = 0x8000_001A,
    /// A queue without the callbacks it needs.
    WDF_NO_CALLBACK = 0xC020_020B,
    /// The queue is paused.
    WDF_PAUSED = 0xC020_0203,
    /// The queue or its driver is busy.
    WDF_BUSY = 0xC020_0204,
    /// The device is in a state that does not allow it.
    INVALID_DEVICE_STATE = 0xC000_0184,
    /// Nothing by that name.
    NOT_FOUND = 0xC000_0225,
}

impl NtStatus {
    /// Microsoft's `NT_SUCCESS`: success and informational codes.
    pub fn is_success(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "NTSTATUS {:#010x}", self.0),
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names of contract violations, without Microsoft's `FailureCode_` prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each name is Microsoft's and says itself what was wrong
#[non_exhaustive]
pub enum FailureCode {
    // API use (5.1). Codes of what user mode does not have are named for
    // completeness and never raised: IRQLs, private and extension calls, media
    // extensions, execution contexts' tasks, resets of the platform.
    CorruptedPrivateGlobals,
    IllegalPrivateApiCall,
    IrqlIsNotPassive,
    IrqlNotLessOrEqualDispatch,
    ParameterCantBeNull,
    InvalidStructTypeSize,
    AdapterAlreadyStarted,
    AdapterNotStarted,
    OffloadNotPaused,
    InvalidNetAdapterInitSignature,
    NetAdapterInitAlreadyUsed,
    InvalidNetAdapterExtensionInitSignature,
    InvalidDatapathCallbacks,
    ParentObjectNotNull,
    ObjectAttributesContextSizeTooLarge,
    InvalidAdapterTxCapabilities,
    InvalidAdapterRxCapabilities,
    NotPowerOfTwo,
    MtuMustBeGreaterThanZero,
    MacAddressLengthTooLong,
    InvalidLinkState,
    InvalidReceiveFilterCapabilities,
    InvalidSetReceiveFilterCallBack,
    SetReceiveFilterFromWrongThread,
    BadQueueInitContext,
    CreatingNetQueueFromWrongThread,
    QueueAlreadyCreated,
    NetQueueInvalidConfiguration,
    InvalidQueueConfiguration,
    InvalidQueueHandle,
    InvalidNetExtensionName,
    InvalidNetExtensionVersion,
    InvalidNetExtensionType,
    InvalidNetExtensionAlignment,
    InvalidNetExtensionExtensionSize,
    InvalidTxChecksumCapabilities,
    InvalidTxChecksumIPv6Flags,
    InvalidTxChecksumHardwareCapabilities,
    InvalidTxChecksumLayer4Capabilities,
    InvalidGsoCapabilities,
    InvalidGsoHardwareCapabilities,
    InvalidRscCapabilities,
    InvalidReceiveScalingHashType,
    InvalidReceiveScalingProtocolType,
    InvalidReceiveScalingEncapsulationType,
    InvalidRSSConfiguration,
    InvalidTxDemuxType,
    InvalidTxDemuxRange,
    DemuxNotPresent,
    InvalidQueryUlongFlag,
    PowerNotInTransition,
    WakeNotInProgress,
    EvtArmDisarmWakeNotInProgress,
    InvalidPowerOffloadListSignature,
    InvalidWakeSourceListSignature,
    InvalidNetAdapterWakeReasonMediaChange,
    InvalidMediaSpecificWakeUpFlags,
    InvalidSupportedProtocolOffloadsFlags,
    ResetDiagnosticsSizeTooLarge,
    IsNotCollectingResetDiagnostics,
    PlatformLevelDeviceResetPerformed,
    RemovingDeviceWithAdapters,
    DeprecatedFunction,
    InvalidExecutionContextConfig,
    InvalidExecutionContextTask,
    // Rings (5.2)
    InvalidRingImmutable,
    InvalidRingBeginIndex,
    InvalidRingImmutableFrameworkElement,
    InvalidRingImmutableDriverTxPacket,
    InvalidRingImmutableDriverTxFragment,
    InvalidRingImmutableDriverRxPacketIgnore,
    InvalidRingModifiedRxPacket,
    InvalidRingModifiedRxFragment,
    InvalidRingUnmodifiedRxPacket,
    InvalidRingUnmodifiedRxFragment,
    InvalidRingRxPacketFragmentCountZero,
    InvalidRingRxPacketFragmentCountOutOfRange,
    InvalidRingRxPacketFragmentIndexOutOfPreRange,
    InvalidRingRxPacketFragmentIndexOutOfPostRange,
    InvalidRingRxPacketFragmentCountOutOfPreRange,
    InvalidRingRxPacketFragmentCountOutOfPostRange,
    InvalidRingRxPacketFragmentIndexOverlap,
    InvalidRingRxPacketFragmentCountOverlap,
    InvalidRingRxPacketFragmentOffsetInvalid,
    InvalidRingRxPacketFragmentLengthInvalid,
    InvalidRingRxPacketLayer2TypeInvalid,
    InvalidRingRxPacketLayer2LengthInvalid,
    InvalidRingRxPacketLayer3TypeInvalid,
    InvalidRingRxPacketLayer3LengthInvalid,
    InvalidRingRxPacketLayer4TypeInvalid,
    InvalidRingRxPacketLayer4LengthInvalid,
    // What this framework watches beyond Microsoft's verifier (5.3)
    /// A handle that is no object of the kind expected.
    InvalidObjectHandle,
    /// An Advance, or another queue callback, took longer than its budget.
    ShimCallbackOverBudget,
    /// A queue callback does not return.
    ShimCallbackStuck,
    /// A queue did not give back what it owned after Cancel.
    ShimQueueNotIdle,
    /// Tx packets come back, but the fragment ring's BeginIndex stays behind.
    ShimTxFragmentsNotReturned,
    /// Bytes in front of or behind a system buffer were overwritten.
    ShimBufferOverrun,
    /// A system buffer was written after it had been given back.
    ShimUseAfterCompletion,
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_negative_and_printed_by_name() {
        assert!(NtStatus::SUCCESS.is_success());
        assert!(!NtStatus::NOT_SUPPORTED.is_success());
        assert_eq!(NtStatus::NOT_SUPPORTED.to_string(), "STATUS_NOT_SUPPORTED");
        assert_eq!(status(0xC000_FFFF).to_string(), "NTSTATUS 0xc000ffff");
    }
}
