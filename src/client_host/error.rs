//! Why a client's run ended before its time.

use std::path::PathBuf;

use netadapter_shim::door::hosted::HostedError;
use netadapter_shim::door::loader::LoadError;
use thiserror::Error;

use crate::control::ControlError;
use crate::exit::{Exit, Explain};
use crate::host::{DeviceSpec, HostError};

/// A client does not run, or not any more.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It cannot be loaded, or failed to start.
    #[error(transparent)]
    Hosted(#[from] HostedError),
    /// The machine said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The control socket could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Waiting for events failed.
    #[error("cannot {action}: {source}")]
    Events {
        /// What was being done.
        action: &'static str,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// No device is left: the client gave it up (`WdfDeviceSetFailed`), it failed too often, or it
    /// was pulled out.
    #[error("{client}: none of the client's devices is left")]
    NoDeviceLeft {
        /// The client.
        client: String,
    },
    /// Clients cannot reach hardware yet.
    #[error(
        "{device}: clients cannot reach a device's registers and interrupts yet, so {} can only \
         run without one", .file.display()
    )]
    NotYet {
        /// The device.
        device: DeviceSpec,
        /// The client.
        file: PathBuf,
    },
}

impl Explain for ClientError {
    fn exit(&self) -> Exit {
        match self {
            Self::Host(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::NotYet { .. } => Exit::Usage,
            Self::Hosted(HostedError::Load(error)) => load_exit(error),
            _ => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.next_step(),
            Self::Control(error) => error.next_step(),
            Self::NotYet { file, .. } => Some(format!("umnet run --client {}", file.display())),
            Self::Hosted(HostedError::Load(error)) => load_step(error),
            _ => None,
        }
    }
}

/// What was named is no client, or this is not the umnet for it; a client that is one and is
/// refused has failed.
fn load_exit(error: &LoadError) -> Exit {
    match error {
        LoadError::StaticHost { .. } => Exit::EnvironmentLacks,
        LoadError::Read { .. } | LoadError::NotAnObject { .. } | LoadError::NoSymbol { .. } => {
            Exit::Usage
        }
        _ => Exit::Failed,
    }
}

fn load_step(error: &LoadError) -> Option<String> {
    Some(
        match error {
            LoadError::StaticHost { .. } => "run a dynamically linked umnet: cargo build --release",
            LoadError::Read { .. } => return None,
            LoadError::NotAnObject { .. } | LoadError::NoSymbol { .. } => {
                "clang $(umnet client-flags) -o CLIENT.so CLIENT.c"
            }
            LoadError::Binding { .. } | LoadError::UnknownFunctions { .. } => {
                "compile the client again, against this umnet's headers: umnet client-flags"
            }
            LoadError::NetAdapterCx { .. } | LoadError::Umdf { .. } => {
                "compile the client again with the versions of umnet client-flags"
            }
            LoadError::Open { .. } => "ldd CLIENT.so shows what it needs and does not find",
        }
        .to_owned(),
    )
}
