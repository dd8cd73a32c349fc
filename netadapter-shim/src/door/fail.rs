//! What happens when a client breaks the contract.
//!
//! With the verifier on, one line says what was wrong and the process ends by
//! SIGABRT (a shell shows exit code 134), as WUDFHost ends on a verifier stop.
//! With the verifier off, each rule is logged once and remembered, and the
//! call that found it returns a status. A few rules of our own are only told of.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::abi::FailureCode;

/// A rule of the contract, under Microsoft's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A NetAdapterCx failure code.
    Net(FailureCode),
    /// A WDF bug check reason.
    Wdf(WdfFault),
}

/// Reasons of WDF's own bug check, WDF_VIOLATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WdfFault {
    /// A pointer that must be given was NULL.
    RequiredParameterIsNull,
    /// Not a handle, no longer one, or one of another type.
    InvalidHandle,
    /// A lock was acquired by the thread that holds it.
    RecursiveLock,
    /// A request was completed twice or used after completion.
    RequestFatalError,
    /// References or deletion of an object went wrong.
    ObjectError,
    /// A lock was released by somebody who does not hold it.
    InvalidLockOperation,
    /// Device creation or a PnP call came at the wrong time.
    PnpFatalError,
    /// Anything else the verifier finds.
    VerifierFatalError,
}

impl fmt::Display for WdfFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequiredParameterIsNull => "WDF_REQUIRED_PARAMETER_IS_NULL",
            Self::InvalidHandle => "WDF_INVALID_HANDLE",
            Self::RecursiveLock => "WDF_RECURSIVE_LOCK",
            Self::RequestFatalError => "WDF_REQUEST_FATAL_ERROR",
            Self::ObjectError => "WDF_OBJECT_ERROR",
            Self::InvalidLockOperation => "WDF_INVALID_LOCK_OPERATION",
            Self::PnpFatalError => "WDF_PNP_FATAL_ERROR",
            Self::VerifierFatalError => "WDF_VERIFIER_FATAL_ERROR",
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(code) => write!(f, "FailureCode_{code}"),
            Self::Wdf(fault) => fault.fmt(f),
        }
    }
}

impl From<FailureCode> for Code {
    fn from(code: FailureCode) -> Self {
        Self::Net(code)
    }
}

impl From<WdfFault> for Code {
    fn from(fault: WdfFault) -> Self {
        Self::Wdf(fault)
    }
}

static VERIFIER: AtomicBool = AtomicBool::new(true);
#[cfg(not(test))]
static ENDING: AtomicBool = AtomicBool::new(false);
static REMEMBERED: Mutex<Vec<Code>> = Mutex::new(Vec::new());

static ON_FATAL: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Names what is called before a breach ends the process; the first one counts.
pub(crate) fn on_fatal(call: Box<dyn Fn() + Send + Sync>) {
    let _ = ON_FATAL.set(call);
}

/// Switches the verifier for the whole process; it starts on.
pub(crate) fn set_verifier(on: bool) {
    VERIFIER.store(on, Ordering::Relaxed);
}

/// Whether a breach ends the process.
pub(crate) fn verifier() -> bool {
    VERIFIER.load(Ordering::Relaxed)
}

/// Reports a broken rule: `what` names the call, the object and what was
/// expected. Returns only if the verifier is off (or in unit tests).
pub(crate) fn breach(code: impl Into<Code>, what: fmt::Arguments<'_>) {
    let code = code.into();
    #[cfg(test)]
    recorded::record(code, what);
    #[cfg(not(test))]
    if verifier() {
        // Whoever comes second while the process ends has nothing to add.
        while ENDING.swap(true, Ordering::AcqRel) {
            std::thread::park();
        }
        eprintln!("umnet: client driver broke a rule: {code}: {what}");
        if let Some(last_words) = ON_FATAL.get() {
            last_words();
        }
        std::process::abort();
    }
    if remember(code) {
        log::error!(
            "client driver broke a rule: {code}: {what}; later ones of its kind are not logged"
        );
    }
}

/// Reports what a sound client does not do, but what harms nobody: the run goes
/// on, with one line for each rule.
pub(crate) fn advise(code: impl Into<Code>, what: fmt::Arguments<'_>) {
    let code = code.into();
    #[cfg(test)]
    recorded::record(code, what);
    if remember(code) {
        log::warn!("client driver: {code}: {what}");
    }
}

/// Keeps a code; says whether it is the first of its kind.
fn remember(code: Code) -> bool {
    let mut known = REMEMBERED.lock().unwrap_or_else(|held| held.into_inner());
    if known.contains(&code) {
        return false;
    }
    known.push(code);
    true
}

/// What was broken since the process began, each rule once.
pub(crate) fn remembered() -> Vec<Code> {
    REMEMBERED
        .lock()
        .unwrap_or_else(|held| held.into_inner())
        .clone()
}

/// Unit tests see a breach instead of dying of it.
#[cfg(test)]
pub(crate) mod recorded {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static BREACHES: RefCell<Vec<(Code, String)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn record(code: Code, what: fmt::Arguments<'_>) {
        BREACHES.with_borrow_mut(|list| list.push((code, what.to_string())));
    }

    /// The breaches of this thread since the last call.
    pub(crate) fn take() -> Vec<(Code, String)> {
        BREACHES.take()
    }

    /// Asserts that there was exactly one breach of this thread, of this code,
    /// and returns its text.
    #[track_caller]
    pub(crate) fn take_one(code: impl Into<Code>) -> String {
        let mut all = take();
        assert_eq!(all.len(), 1, "breaches: {all:?}");
        let (found, text) = all.remove(0);
        assert_eq!(found, code.into(), "{text}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_is_recorded_with_its_text() {
        breach(FailureCode::InvalidLinkState, format_args!("state {}", 9));
        assert_eq!(recorded::take_one(FailureCode::InvalidLinkState), "state 9");
        assert!(recorded::take().is_empty());
    }

    #[test]
    fn each_rule_is_remembered_once() {
        breach(WdfFault::PnpFatalError, format_args!("first"));
        breach(WdfFault::PnpFatalError, format_args!("second"));
        assert_eq!(recorded::take().len(), 2);
        let wanted = Code::Wdf(WdfFault::PnpFatalError);
        let count = remembered().iter().filter(|code| **code == wanted).count();
        assert_eq!(count, 1);
    }

    #[test]
    fn codes_print_under_microsofts_names() {
        assert_eq!(
            Code::from(FailureCode::NotPowerOfTwo).to_string(),
            "FailureCode_NotPowerOfTwo"
        );
        assert_eq!(
            Code::from(WdfFault::InvalidHandle).to_string(),
            "WDF_INVALID_HANDLE"
        );
    }
}
