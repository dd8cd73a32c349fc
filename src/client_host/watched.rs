//! What is watched of an adapter's interface while the client runs.

use log::info;
use netadapter_shim::ReceiveFilter;
use netadapter_shim::door::hosted::HostedAdapter;

use super::filter::filter_of;
use crate::host::interface::Link;
use crate::host::watch::LinkWatch;

/// One adapter's interface, as it was last seen.
pub(super) struct Watched {
    pub(super) adapter: HostedAdapter,
    pub(super) watch: LinkWatch,
    pub(super) link: Link,
    /// Whether it is still in the namespace it was made in.
    pub(super) here: bool,
    pub(super) filter: Option<ReceiveFilter>,
}

impl Watched {
    /// Tells the client what the interface wants received, if that changed.
    pub(super) fn refresh(&mut self) {
        let wanted = filter_of(&self.link, self.here);
        if self.filter.as_ref() != Some(&wanted) {
            self.adapter.set_receive_filter(wanted.clone());
            self.filter = Some(wanted);
        }
    }

    /// The interface is not here any more.
    pub(super) fn leave(&mut self) {
        info!(
            "{}: moved to another network namespace, or removed by somebody else",
            self.link.name
        );
        self.here = false;
    }
}
