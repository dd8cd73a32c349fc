//! Why a client does not run, as the supervisor is told.

use netadapter_shim::door::hosted::HostedError;
use netadapter_shim::door::loader::LoadError;

use crate::channel::StartFailure;
use crate::exit::Exit;

/// What the run ends with, if it is the first host that fails.
pub(super) fn failure(error: &HostedError) -> StartFailure {
    let (exit, next) = match error {
        HostedError::Load(error) => (load_exit(error), load_step(error)),
        _ => (Exit::Failed, None),
    };
    StartFailure {
        why: error.to_string(),
        exit: Some(exit),
        next: next.map(str::to_owned),
        ..StartFailure::default()
    }
}

/// No device is left: the client gave it up (`WdfDeviceSetFailed`), it failed too often, or it was
/// pulled out.
pub(super) fn no_device_left(client: &str) -> StartFailure {
    StartFailure {
        why: format!("{client}: none of the client's devices is left"),
        gone: true,
        ..StartFailure::default()
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

fn load_step(error: &LoadError) -> Option<&'static str> {
    Some(match error {
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
    })
}
