//! A vhost-user back end: a device in another process, reached through a Unix socket
//! (QEMU, *Vhost-user Protocol*; constants in [`crate::spec::vhost_user`]).
//!
//! ```text
//! messages   requests and replies as bytes; every field of a reply checked
//! socket     one exchange, with a deadline
//! session    a connection from greeting to end, request by request
//! features   which bits and extensions mean anything here
//! memory     memory shared by descriptor, and its addresses
//! watch      what the back end does of its own accord
//! ```
//!
//! The back end moves frames; the other half of a virtio device is played here. Device status is
//! kept here unless the back end keeps it (`STATUS`); the configuration is that of the back end
//! (`CONFIG`) or empty; `DEVICE_NEEDS_RESET` shows when the back end has gone or says that a ring
//! is broken. Queues and memory are remembered until `DRIVER_OK` and sent then, all at once.
//!
//! A reset stops every ring and hears the back end say so. Where that cannot be had, the
//! connection is given up, and a new one made when the device is next brought up: the rings of a
//! lost connection are never resumed. What is shared stays valid memory for whoever has it.
//!
//! A back end shares the events' flags, as it does with every front end: one that makes a kick
//! blocking and fills its counter can hold the thread that rings, which is for a watchdog to see.
//!
//! A back end that has several pairs serves those whose rings it is given: there is no control queue,
//! and nothing to be said over one.
//!
//! Left out: the reset of single rings, migration, what an earlier connection had in flight (rings
//! of a lost connection are never resumed), in-band notifications, IOMMU messages.

mod features;
mod memory;
pub mod messages;
mod registers;
mod session;
mod socket;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vmm_sys_util::eventfd::EventFd;

use self::memory::SharedMemory;
use self::registers::ConfigCopy;
use self::session::{Ring, Session};
pub use self::watch::{Job, Spawn};
use self::watch::{Watch, Watched, fire, new_event};
use super::{Doorbell, MemoryLender, QueueSetup, TransportError, failure};
use crate::spec::status;

/// How a back end is to be treated.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an exchange of messages may take.
    pub timeout: Duration,
    /// The address to have where the back end says none, or instead of what it says.
    pub mac: Option<[u8; 6]>,
    /// The longest ring to be had: the protocol has no word for what the back end can do.
    pub max_queue_size: u16,
    /// How to start what watches the connection.
    pub spawn: Spawn,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            mac: None,
            max_queue_size: 1024,
            spawn: Spawn::default(),
        }
    }
}

/// Makes a new connection to the same back end, one that does not block.
pub type Connect = Box<dyn FnMut() -> io::Result<UnixStream> + Send>;

/// The front end of a vhost-user device.
///
/// Dropping it stops the back end's rings, as far as it answers, and closes the connection.
pub struct VhostUser {
    name: Arc<str>,
    options: Options,
    connect: Option<Connect>,
    /// Who has memory, if it is not made here.
    lender: Option<Box<dyn MemoryLender>>,
    /// `None`: the connection is lost and was not made anew yet.
    connection: Option<Connection>,
    /// As the driver wrote it.
    status: u8,
    memory: SharedMemory,
    rings: Vec<Ring>,
    /// Queues that the back end works on.
    started: Vec<QueueSetup>,
    config: ConfigCopy,
    events: [Option<Arc<EventFd>>; VECTORS as usize],
    /// Pairs of queues that the back end has.
    pairs: u16,
    /// Doorbells by queue: the same over resets, so that a reset makes no descriptors, and new
    /// ones for a new connection.
    kicks: BTreeMap<u16, Arc<OwnedFd>>,
}

/// One for configuration changes, one for each queue of as many pairs as a driver may want.
const VECTORS: u16 = 1 + 2 * 8;

/// A session, and who watches it.
struct Connection {
    session: Session,
    errors: Arc<OwnedFd>,
    watch: Watch,
}

impl VhostUser {
    /// Connects to the back end that listens at `path`, and again whenever the connection was
    /// lost and the device is reset.
    ///
    /// # Errors
    /// As [`VhostUser::from_stream`].
    pub fn connect(name: &str, path: &Path, options: Options) -> Result<Self, TransportError> {
        let path = path.to_owned();
        let connect = Box::new(move || {
            let stream = UnixStream::connect(&path)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        Self::connect_by(name, connect, options)
    }

    /// The same with connections that somebody else makes.
    ///
    /// # Errors
    /// As [`VhostUser::from_stream`].
    pub fn connect_by(
        name: &str,
        mut connect: Connect,
        options: Options,
    ) -> Result<Self, TransportError> {
        let stream = connect().map_err(|source| cannot_connect(name, source))?;
        let mut transport = Self::new(name, options);
        transport.connect = Some(connect);
        transport.open(stream)?;
        Ok(transport)
    }

    /// Takes all memory from somebody else from now on.
    #[must_use]
    pub fn with_memory_of(mut self, lender: Box<dyn MemoryLender>) -> Self {
        self.lender = Some(lender);
        self
    }

    /// Takes a connection that somebody else has made. When it is lost, the device is gone.
    ///
    /// # Errors
    /// [`TransportError::Io`] when the back end does not answer in time or closes the connection,
    /// [`TransportError::Unusable`] when it breaks the protocol.
    pub fn from_stream(
        name: &str,
        stream: UnixStream,
        options: Options,
    ) -> Result<Self, TransportError> {
        let mut transport = Self::new(name, options);
        let unblocked = stream.set_nonblocking(true);
        unblocked.map_err(transport.failed("preparing the connection"))?;
        transport.open(stream)?;
        Ok(transport)
    }

    fn new(name: &str, options: Options) -> Self {
        Self {
            name: name.into(),
            config: ConfigCopy::new(options.mac),
            options,
            connect: None,
            lender: None,
            connection: None,
            status: 0,
            memory: SharedMemory::default(),
            rings: Vec::new(),
            started: Vec::new(),
            events: [const { None }; VECTORS as usize],
            pairs: 1,
            kicks: BTreeMap::new(),
        }
    }

    /// Greets the back end on a new connection.
    fn open(&mut self, stream: UnixStream) -> Result<(), TransportError> {
        let timeout = self.options.timeout;
        let mut session = Session::open(Arc::clone(&self.name), stream, timeout)?;
        let back_channel = self.back_channel(&mut session)?;
        let config = self.event(CONFIG_VECTOR)?;
        let errors = Arc::new(new_event().map_err(self.failed("eventfd"))?);
        let watched = Watched {
            name: Arc::clone(&self.name),
            connection: Arc::clone(session.stream()),
            back_channel,
            errors: Arc::clone(&errors),
            config,
        };
        let watch = Watch::start(watched, &self.options.spawn);
        let watch = watch.map_err(self.failed("watching the back end"))?;
        self.connection = Some(Connection {
            session,
            errors,
            watch,
        });
        Ok(())
    }

    /// A way for the back end to tell of changes, where it has any to tell.
    fn back_channel(&self, session: &mut Session) -> Result<Option<UnixStream>, TransportError> {
        if !session.protocol.tells_of_config() {
            return Ok(None);
        }
        let pair = UnixStream::pair().and_then(|(ours, theirs)| {
            ours.set_nonblocking(true)?;
            Ok((ours, theirs))
        });
        let (ours, theirs) = pair.map_err(self.failed("socketpair"))?;
        session.set_back_channel(&theirs)?;
        Ok(Some(ours))
    }

    /// The session, if the connection is not known to be lost.
    fn session(&mut self) -> Result<&mut Session, TransportError> {
        let lost = self.disconnected();
        match &mut self.connection {
            Some(connection) if !connection.watch.is_closed() => Ok(&mut connection.session),
            _ => Err(lost),
        }
    }

    fn disconnected(&self) -> TransportError {
        let device = self.name.to_string();
        match self.connect {
            Some(_) => TransportError::Disconnected { device },
            None => TransportError::Gone { device },
        }
    }

    fn is_lost(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_none_or(|connection| connection.watch.is_closed())
    }

    /// What the driver is to see in the device status without having written it.
    fn trouble(&self) -> u8 {
        let broken = |connection: &Connection| connection.watch.is_broken();
        if self.is_lost() || self.connection.as_ref().is_some_and(broken) {
            status::DEVICE_NEEDS_RESET
        } else {
            0
        }
    }

    /// Hands all that was set up to the back end, which begins to work.
    fn start(&mut self) -> Result<(), TransportError> {
        self.session()?;
        let Some(Connection {
            session, errors, ..
        }) = &mut self.connection
        else {
            unreachable!("there was a session just now")
        };
        session.set_memory(&self.memory)?;
        for ring in &self.rings {
            self.started.push(ring.setup);
            session.start(ring, errors)?;
        }
        session.synchronise()
    }

    /// A ring is started by its first kick (§ *Ring states*).
    fn kick_all(&self) {
        self.rings.iter().for_each(|ring| fire(&ring.kick));
    }

    /// Stops the device, or gives up the connection to it.
    fn reset(&mut self) -> Result<(), TransportError> {
        self.status = 0;
        let stopped = self.stop_rings();
        self.rings.clear();
        self.started.clear();
        match stopped {
            Err(error) if self.connect.is_some() => {
                log::debug!("{error}; giving the connection up");
                self.connection = None;
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn stop_rings(&mut self) -> Result<(), TransportError> {
        let started = std::mem::take(&mut self.started);
        let broken = self.trouble() != 0;
        let session = self.session()?;
        for setup in &started {
            session.stop(setup)?;
        }
        session.reset()?;
        if broken {
            // A back end that gave a ring up is asked to begin from nothing.
            return Err(self.disconnected());
        }
        Ok(())
    }

    /// Makes a lost connection anew, if that can be and the device is reset.
    fn reconnect_if_lost(&mut self) -> Result<(), TransportError> {
        match self.status {
            0 if self.is_lost() => self.reconnect(),
            _ => Ok(()),
        }
    }

    fn reconnect(&mut self) -> Result<(), TransportError> {
        // Closed first: some back ends serve one front end at a time.
        self.connection = None;
        self.kicks.clear();
        let Some(connect) = &mut self.connect else {
            return Err(self.disconnected());
        };
        let stream = connect().map_err(|source| cannot_connect(&self.name, source))?;
        self.open(stream)?;
        log::info!("{}: connected to the back end again", self.name);
        Ok(())
    }

    /// The event of a vector, made on first use.
    fn event(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        let name = Arc::clone(&self.name);
        let Some(place) = self.events.get_mut(usize::from(vector)) else {
            return Err(TransportError::Unusable {
                device: name.to_string(),
                reason: format!("interrupt {vector} does not exist (there are {VECTORS})"),
            });
        };
        if let Some(event) = place {
            return Ok(Arc::clone(event));
        }
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        let event = event.map_err(failure(&name, "eventfd"))?;
        Ok(Arc::clone(place.insert(Arc::new(event))))
    }

    /// The doorbell of a queue, made on first use.
    fn kick(&mut self, queue: u16) -> Result<Arc<OwnedFd>, TransportError> {
        if let Some(kick) = self.kicks.get(&queue) {
            return Ok(Arc::clone(kick));
        }
        let kick = Arc::new(new_event().map_err(self.failed("eventfd"))?);
        self.kicks.insert(queue, Arc::clone(&kick));
        Ok(kick)
    }

    fn failed(&self, operation: &str) -> impl FnOnce(io::Error) -> TransportError + use<> {
        failure(&self.name, operation)
    }
}

const CONFIG_VECTOR: u16 = 0;

impl Drop for VhostUser {
    fn drop(&mut self) {
        if self.is_lost() {
            return;
        }
        if let Err(error) = self.stop_rings() {
            log::debug!("while stopping: {error}");
        }
    }
}

/// The doorbell of one queue.
#[derive(Debug)]
struct Kick(Arc<OwnedFd>);

impl Doorbell for Kick {
    #[inline]
    fn ring(&self) {
        fire(&self.0);
    }
}

fn cannot_connect(name: &str, source: io::Error) -> TransportError {
    failure(name, "connecting to the back end")(source)
}
