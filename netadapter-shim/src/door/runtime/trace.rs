//! Where tracing macros, DbgPrint and assertions of the headers end.

#![allow(non_snake_case)] // C's names

use std::borrow::Cow;
use std::ffi::c_char;

use log::Level;

use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::In;
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

/// What a header passes: a literal, `__func__` or a formatted message; NULL where there is none.
fn text(text: In<'_, c_char>) -> Cow<'_, str> {
    text.c_text().unwrap_or(Cow::Borrowed("?"))
}

extern "C" fn UmnetLog(
    severity: u32,
    file: In<'_, c_char>,
    line: u32,
    function: In<'_, c_char>,
    message: In<'_, c_char>,
) {
    let severity = level(severity);
    if !log::log_enabled!(target: TARGET, severity) {
        return;
    }
    let file = text(file);
    let function = text(function);
    let message = text(message);
    let message = message.trim_end();
    log::log!(target: TARGET, severity, "{function}: {message} ({file}:{line})");
}

extern "C" fn UmnetAssertionFailed(
    file: In<'_, c_char>,
    line: u32,
    expression: In<'_, c_char>,
    message: In<'_, c_char>,
) {
    let file = text(file);
    let expression = text(expression);
    let message = text(message);
    let text = format_args!("assertion failed: {expression} ({message}) at {file}:{line}");
    breach(WdfFault::VerifierFatalError, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use std::ffi::CStr;

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
        UmnetLog(1, In::NULL, 0, In::NULL, In::NULL);
    }

    #[test]
    fn a_failed_assertion_is_a_breach_that_shows_where() {
        let literal = |text: &'static CStr| In::from(text.as_ptr());
        UmnetAssertionFailed(literal(c"a.cpp"), 7, literal(c"x > 0"), In::NULL);
        let text = recorded::take_one(WdfFault::VerifierFatalError);
        assert_eq!(text, "assertion failed: x > 0 (?) at a.cpp:7");
    }
}
