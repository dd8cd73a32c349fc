//! What a command left behind, in a guest or on the host.

use crate::{Error, Result};
pub use guest_runner::protocol::Ending;

/// A command's end and everything it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// How it ended.
    pub ending: Ending,
    /// Standard output, bytes that are no UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }

    /// The exit code, unless a signal or the deadline ended it.
    pub fn code(&self) -> Option<i32> {
        match self.ending {
            Ending::Code(code) => Some(code),
            Ending::Signal(_) | Ending::TimedOut => None,
        }
    }

    /// Standard output of a command that exited with code 0.
    ///
    /// # Errors
    /// [`Error::Command`] with the whole story otherwise.
    pub fn into_stdout(self) -> Result<String> {
        if self.success() {
            Ok(self.stdout)
        } else {
            Err(Error::Command(self.story()))
        }
    }

    /// Command, end and output, as a failure message shows them.
    pub fn story(&self) -> String {
        let ending = match self.ending {
            Ending::Code(code) => format!("exit code {code}"),
            Ending::Signal(signal) => format!("signal {signal}"),
            Ending::TimedOut => "no end in time".to_string(),
        };
        let mut story = format!("`{}`: {ending}", self.command);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                story += &format!("\n--- {name} ---\n{}", text.trim_end());
            }
        }
        story
    }
}
