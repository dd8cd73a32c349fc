//! Version bind: which clients this framework accepts.

use std::fmt;

use super::NtStatus;

/// A NetAdapterCx version as a client driver states it at bind time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetAdapterCxVersion {
    /// `NETADAPTER_VERSION_MAJOR`
    pub major: u32,
    /// `NETADAPTER_VERSION_MINOR`
    pub minor: u32,
}

/// A client whose version this framework does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the client asks for NetAdapterCx {asked}, this framework offers {offered}, the version \
     user mode starts with; build the client with NETADAPTER_VERSION_MAJOR={} and \
     NETADAPTER_VERSION_MINOR={}", offered.major, offered.minor
)]
pub struct BindError {
    /// What the client was built for.
    pub asked: NetAdapterCxVersion,
    /// What is served here.
    pub offered: NetAdapterCxVersion,
}

impl BindError {
    /// The status a refused client is given.
    pub fn status(&self) -> NtStatus {
        NtStatus::NOT_SUPPORTED
    }
}

impl NetAdapterCxVersion {
    /// The one version that is served: user mode starts with 2.5, and no later
    /// one has been published.
    pub const OFFERED: Self = Self { major: 2, minor: 5 };

    /// Checks a client's version.
    ///
    /// # Errors
    /// Another major version, one from before user mode existed, or one newer
    /// than this framework is refused.
    pub fn bind(self) -> Result<(), BindError> {
        if self == Self::OFFERED {
            return Ok(());
        }
        Err(BindError {
            asked: self,
            offered: Self::OFFERED,
        })
    }
}

impl fmt::Display for NetAdapterCxVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offered_version_binds() {
        for major in 0..4 {
            for minor in 0..8 {
                let bound = NetAdapterCxVersion { major, minor }.bind();
                assert_eq!(bound.is_ok(), (major, minor) == (2, 5), "{major}.{minor}");
            }
        }
    }

    #[test]
    fn refusal_names_both_versions() {
        let asked = NetAdapterCxVersion { major: 2, minor: 3 };
        let refusal = asked.bind().unwrap_err();
        assert_eq!(refusal.status(), NtStatus::NOT_SUPPORTED);
        let text = refusal.to_string();
        assert!(text.contains("2.3") && text.contains("2.5"), "{text}");
    }
}
