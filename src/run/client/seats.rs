//! The interfaces and sockets of a client, as its hosts work with them one after the other.
//!
//! Whatever a host asks for is checked here, field by field, before anything is done.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use log::info;
use netadapter_shim::SystemPort;
use serde::{Deserialize, Serialize};

use super::filter::GROUPS;
use super::names::Names;
use super::places::Places;
use super::seat::{KeptSeat, Seat, check_mac, check_mtu};
use crate::channel::{
    AdapterWish, Answer, Ask, ClientAsk, ClientSetup, Filter, MAX_ADAPTERS, Place, StartFailure,
    ToHost,
};
use crate::host::HostError;
use crate::run::board::{SeatInfo, SharedBoard};
use crate::run::handover::{miscounted, port_setup};
use crate::run::host_process::{CLIENT_VERB, UNCAGED};
use crate::run::hosts::HostSettings;
use crate::run::work::{Patience, Start, Work};
use crate::run::{RunError, events};

/// More queues than any adapter's interface is asked for.
const MAX_QUEUES: usize = 16;

/// All of them.
pub(super) struct Seats {
    client: String,
    /// An absolute path.
    library: PathBuf,
    setup: ClientSetup,
    names: Names,
    board: SharedBoard,
    seats: BTreeMap<usize, Seat>,
    /// Those whose adapters the present host has started.
    taken: BTreeSet<usize>,
    /// Those that are gone, but still waited for.
    left: Vec<Seat>,
    places: Places,
    /// Whether there are others than were kept.
    has_changed: bool,
}

/// What another program has to know of them. The descriptors are the queues of the interfaces, then
/// the sockets, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptSeats {
    seats: Vec<(usize, KeptSeat)>,
    taken: BTreeSet<usize>,
    places: Vec<Place>,
    answered: BTreeSet<Place>,
}

impl Seats {
    pub(super) fn new(
        (client, library): (String, PathBuf),
        setup: ClientSetup,
        names: Names,
        files: PathBuf,
        board: SharedBoard,
    ) -> Self {
        Self {
            client,
            library,
            setup,
            names,
            board,
            seats: BTreeMap::new(),
            taken: BTreeSet::new(),
            left: Vec::new(),
            places: Places::beside(files),
            has_changed: false,
        }
    }

    /// What another program needs to go on with them.
    pub(super) fn keep(&self) -> io::Result<(KeptSeats, Vec<OwnedFd>)> {
        let queues = self.seats.values().flat_map(|seat| seat.tap.queues());
        let sockets = self.places.sockets();
        let fds = queues.chain(sockets).map(|fd| fd.try_clone_to_owned());
        let seats = self.seats.iter();
        let (places, answered) = self.places.keep();
        let kept = KeptSeats {
            seats: seats
                .map(|(adapter, seat)| (*adapter, seat.keep()))
                .collect(),
            taken: self.taken.clone(),
            places,
            answered,
        };
        Ok((kept, fds.collect::<io::Result<_>>()?))
    }

    /// What another program has kept.
    pub(super) fn resume(&mut self, kept: KeptSeats, fds: Vec<OwnedFd>) -> Result<(), RunError> {
        let queues = kept.seats.iter().map(|(_, seat)| seat.port.queues);
        let wanted = queues.sum::<usize>() + kept.places.len();
        if fds.len() != wanted {
            let why = miscounted(fds.len(), wanted);
            return Err(events("take the client's interfaces over")(why));
        }
        let mut fds = fds.into_iter();
        for (adapter, seat) in kept.seats {
            let queues = fds.by_ref().take(seat.port.queues).collect();
            self.seats.insert(adapter, Seat::resume(seat, queues)?);
        }
        self.taken = kept.taken;
        self.places.resume(kept.places, kept.answered, fds);
        Ok(())
    }

    /// Something has happened to an interface.
    pub(super) fn changed(&mut self, adapter: usize) -> Result<(), HostError> {
        let seat = self.seats.get_mut(&adapter);
        seat.map_or(Ok(()), Seat::changed)
    }

    /// What is to be waited for no longer. It is closed with what this returns.
    pub(super) fn take_left(&mut self) -> Vec<Seat> {
        std::mem::take(&mut self.left)
    }

    /// What is to be waited for from now on.
    pub(super) fn take_new(&mut self) -> Vec<(usize, RawFd)> {
        let mut new = Vec::new();
        for (adapter, seat) in &mut self.seats {
            if !std::mem::replace(&mut seat.is_watched, true) {
                new.push((*adapter, seat.watch.as_raw_fd()));
            }
        }
        new
    }

    /// The client knows nothing of what interfaces want received.
    pub(super) fn forget_filters(&mut self) {
        self.seats.values_mut().for_each(|seat| seat.told = None);
    }

    /// What interfaces want received that the client does not know of.
    pub(super) fn new_filters(&mut self) -> Vec<Filter> {
        let groups = fs::read_to_string(GROUPS).ok();
        let groups = groups.as_deref();
        let seats = self.seats.iter_mut();
        seats
            .filter_map(|(adapter, seat)| seat.new_filter(*adapter, groups))
            .collect()
    }

    fn seat(&mut self, adapter: usize) -> Result<&mut Seat, String> {
        let started = self.taken.contains(&adapter);
        let seat = self.seats.get_mut(&adapter).filter(|_| started);
        seat.ok_or_else(|| format!("adapter {adapter} is not started"))
    }

    fn do_for_client(&mut self, ask: ClientAsk) -> Result<(Answer, Vec<OwnedFd>), String> {
        match ask {
            ClientAsk::Interface(wish) => return self.interface(&wish),
            ClientAsk::Listen(place) => {
                let fd = self.places.listen(place)?;
                return Ok((Answer::Done, vec![fd]));
            }
            ClientAsk::Carrier { adapter, up } => self.seat(adapter)?.set_link(up),
            ClientAsk::Offloads { adapter, offloads } => {
                let tap = &mut self.seat(adapter)?.tap;
                let set = tap.set_tx_offloads(offloads.into());
                set.map_err(|error| error.to_string())?;
            }
            ClientAsk::Mtu { adapter, mtu } => {
                let mtu = check_mtu(mtu)?;
                self.seat(adapter)?.set_mtu(mtu);
            }
            ClientAsk::Address { adapter, mac } => {
                let mac = check_mac(mac)?;
                self.seat(adapter)?.set_mac(mac);
            }
            ClientAsk::Leave(adapter) => self.leave(adapter),
            ClientAsk::Close(place) => self.places.close(place),
        }
        Ok((Answer::Done, Vec::new()))
    }

    /// The interface of an adapter that is started.
    fn interface(&mut self, wish: &AdapterWish) -> Result<(Answer, Vec<OwnedFd>), String> {
        let AdapterWish {
            adapter,
            mac,
            mtu,
            queues,
        } = *wish;
        if adapter >= MAX_ADAPTERS {
            return Err(format!("{MAX_ADAPTERS} adapters are enough"));
        }
        if !(1..=MAX_QUEUES).contains(&queues) {
            return Err(format!("{queues} queues: allowed is 1 to {MAX_QUEUES}"));
        }
        check_mtu(mtu)?;
        mac.map(check_mac).transpose()?;
        match self.seats.get_mut(&adapter) {
            Some(seat) if seat.tap.max_queues() != queues => {
                let has = seat.tap.max_queues();
                return Err(format!("{} has {has} queues, not {queues}", seat.name));
            }
            Some(seat) => seat.take(wish),
            None => {
                let seat = Seat::make(wish, self.names.choose(adapter)?)?;
                self.seats.insert(adapter, seat);
                self.has_changed = true;
            }
        }
        self.taken.insert(adapter);
        let seat = self.seat(adapter)?;
        let fds = seat.tap.queues().map(|fd| fd.try_clone_to_owned());
        let fds = fds.collect::<io::Result<Vec<_>>>();
        let answer = Answer::Port(port_setup(&seat.tap));
        Ok((answer, fds.map_err(|error| error.to_string())?))
    }

    fn leave(&mut self, adapter: usize) {
        self.taken.remove(&adapter);
        if let Some(seat) = self.seats.remove(&adapter) {
            info!("adapter {adapter}: interface {} goes", seat.name);
            self.left.push(seat);
            self.has_changed = true;
        }
    }

    /// For those who ask how things are.
    fn show(&self) {
        let info = |(adapter, seat): (&usize, &Seat)| SeatInfo {
            adapter: *adapter,
            ifname: seat.name.clone(),
            mac: seat.mac,
            mtu: seat.mtu,
            link_up: seat.link_up,
        };
        self.board.lock().seats = self.seats.iter().map(info).collect();
    }
}

impl Work for Seats {
    /// A client that cannot be brought up once is not tried again.
    const TRIES_AGAIN: bool = false;

    fn name(&self) -> &str {
        &self.client
    }

    fn start(&self, settings: &HostSettings) -> Start<'_> {
        let open = (!settings.caged).then(|| OsString::from(UNCAGED));
        let verb = [OsString::from(CLIENT_VERB), self.library.clone().into()];
        Start {
            arguments: verb.into_iter().chain(open).collect(),
            // Sanitizers and debuggers are told what to do by theirs.
            environment: settings.caged.then_some(&["LD_LIBRARY_PATH"]),
            message: ToHost::Client(Box::new(self.setup.clone())),
            fds: Vec::new(),
        }
    }

    fn patience(&self) -> Patience {
        // For each callback the client's own host has an eye on the clock.
        let callback = Duration::from_millis(self.setup.deadline_ms);
        Patience {
            prepare: Duration::from_secs(20),
            start: Duration::from_secs(15) + 2 * callback,
            stop: Duration::from_secs(5) + callback,
            replace: Duration::from_secs(5),
        }
    }

    fn clear(&mut self) {
        self.taken.clear();
        self.places.nobody_answers();
        for seat in self.seats.values_mut() {
            seat.link_up = false;
            seat.changes_hands = true;
        }
        self.show();
    }

    fn rest(&mut self) {
        self.clear();
        self.seats.values_mut().for_each(Seat::show_carrier);
    }

    fn perform(&mut self, ask: Ask) -> Result<(Answer, Vec<OwnedFd>), String> {
        let Ask::Client(ask) = ask else {
            return Err("a client host asks for what is a driver's".to_owned());
        };
        let done = self.do_for_client(ask);
        self.show();
        done
    }

    fn outdates_kept(&mut self) -> bool {
        let places = self.places.have_changed();
        std::mem::take(&mut self.has_changed) || places
    }

    /// What the host before has had, and this one has not, stays without a carrier; nobody answers
    /// where only the one before did.
    fn started(&mut self) {
        self.places.close_unanswered();
        for seat in self.seats.values_mut() {
            seat.changes_hands = false;
            if !seat.link_up {
                seat.show_carrier();
            }
        }
    }

    fn is_over(&self, failure: &StartFailure) -> bool {
        failure.gone
    }

    fn can_be_given_up(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::MAX_PLACES;
    use super::*;
    use crate::channel::PROTOCOL;
    use crate::config::ClientSection;

    /// Of a client that has started nothing yet.
    fn seats() -> Seats {
        let setup = ClientSetup {
            protocol: PROTOCOL,
            verifier: true,
            deadline_ms: 1000,
            section: ClientSection::default(),
            adapters: 0,
        };
        let client = ("wire".to_owned(), PathBuf::from("/nowhere/wire.so"));
        let files = PathBuf::from("/nowhere/client-wire-1.sock");
        Seats::new(
            client,
            setup,
            Names(Vec::new()),
            files,
            SharedBoard::default(),
        )
    }

    const WISH: AdapterWish = AdapterWish {
        adapter: 0,
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        queues: 1,
    };

    #[test]
    fn every_field_of_what_a_host_asks_for_is_checked_before_anything_is_done() {
        let wishes = [
            AdapterWish {
                adapter: MAX_ADAPTERS,
                ..WISH
            },
            AdapterWish {
                mac: Some([1, 0, 0, 0, 0, 1]),
                ..WISH
            },
            AdapterWish { mtu: 67, ..WISH },
            AdapterWish { queues: 0, ..WISH },
            AdapterWish {
                queues: MAX_QUEUES + 1,
                ..WISH
            },
        ];
        let others = [
            ClientAsk::Carrier {
                adapter: 0,
                up: true,
            },
            ClientAsk::Mtu {
                adapter: 0,
                mtu: 1500,
            },
            ClientAsk::Address {
                adapter: 0,
                mac: [2, 0, 0, 0, 0, 1],
            },
            ClientAsk::Listen(Place::Device(MAX_PLACES)),
            ClientAsk::Listen(Place::Control(usize::MAX)),
        ];
        let asks = wishes.map(ClientAsk::Interface).into_iter().chain(others);
        let mut seats = seats();
        for ask in asks {
            let refused = seats.perform(Ask::Client(ask.clone()));
            assert!(refused.is_err(), "{ask:?}");
        }
        assert!(seats.seats.is_empty() && seats.places.sockets().len() == 0);
        assert!(seats.perform(Ask::Memory(4096)).is_err());
        assert!(seats.perform(Ask::Carrier(true)).is_err());
    }
}
