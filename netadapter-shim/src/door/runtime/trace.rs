//! Where tracing macros, DbgPrint and assertions of the headers end.

#![allow(unsafe_code)] // reads strings
#![allow(non_snake_case)] // C's names

use std::borrow::Cow;
use std::ffi::{CStr, c_char};

use log::Level;

use crate::door::fail::{WdfFault, breach};
use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![UmnetLog, UmnetAssertionFailed];

/// Log lines of clients can be filtered by this name.
const TARGET: &str = "client";

/// TRACE_LEVEL_CRITICAL 1 ... TRACE_LEVEL_VERBOSE 5.
fn level(level: u32) -> Level {
    match level {
        0..=2 => Level::Error,
        3 => Level::Warn,
        4 => Level::Info,
        5 => Level::Debug,
        _ => Level::Trace,
    }
}

/// # Safety
/// `text` is NULL or NUL-terminated, and lives as long as the result.
unsafe fn text<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return Cow::Borrowed("?");
    }
    // SAFETY: the caller vouches for the terminator.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

unsafe extern "C" fn UmnetLog(
    severity: u32,
    file: *const c_char,
    line: u32,
    function: *const c_char,
    message: *const c_char,
) {
    let severity = level(severity);
    if !log::log_enabled!(target: TARGET, severity) {
        return;
    }
    // SAFETY: the header passes a literal.
    let file = unsafe { text(file) };
    // SAFETY: the header passes `__func__`.
    let function = unsafe { text(function) };
    // SAFETY: the header passes a formatted, terminated message.
    let message = unsafe { text(message) };
    let message = message.trim_end();
    log::log!(target: TARGET, severity, "{function}: {message} ({file}:{line})");
}

unsafe extern "C" fn UmnetAssertionFailed(
    file: *const c_char,
    line: u32,
    expression: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the header passes a literal.
    let file = unsafe { text(file) };
    // SAFETY: the header passes a literal.
    let expression = unsafe { text(expression) };
    // SAFETY: the header passes a literal, or NULL.
    let message = unsafe { text(message) };
    let text = format_args!("assertion failed: {expression} ({message}) at {file}:{line}");
    breach(WdfFault::VerifierFatalError, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use std::ptr::null;

    #[test]
    fn windows_levels_become_those_of_the_log() {
        let levels = [1, 2, 3, 4, 5, 9].map(level);
        let wanted = [
            Level::Error,
            Level::Error,
            Level::Warn,
            Level::Info,
            Level::Debug,
            Level::Trace,
        ];
        assert_eq!(levels, wanted);
        // SAFETY: NULL is allowed.
        unsafe { UmnetLog(1, null(), 0, null(), null()) };
    }

    #[test]
    fn a_failed_assertion_is_a_breach_that_shows_where() {
        // SAFETY: NUL-terminated literals.
        unsafe {
            UmnetAssertionFailed(c"a.cpp".as_ptr(), 7, c"x > 0".as_ptr(), null());
        }
        let text = recorded::take_one(WdfFault::VerifierFatalError);
        assert_eq!(text, "assertion failed: x > 0 (?) at a.cpp:7");
    }
}
