//! Sockets whose every wait ends: connect, accept, read and write against one deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use super::args::{Args, usage};
use super::error::{TrafficError, socket};

/// How long one system call may block before the deadline is looked at again.
const TICK: Duration = Duration::from_millis(200);
/// Between two tries of something that has to be polled.
const PAUSE: Duration = Duration::from_millis(5);

/// The moment by which a command is over, done or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    pub(super) fn after(allowed: Duration) -> Self {
        Self {
            at: Instant::now() + allowed,
            allowed,
        }
    }

    /// From `--deadline`, one minute if it is not given.
    pub(super) fn from_args(args: &mut Args) -> Result<Self, TrafficError> {
        Ok(Self::after(
            args.seconds("deadline")?.unwrap_or(Duration::from_secs(60)),
        ))
    }

    pub(super) fn passed(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Fails once the deadline has passed, naming what was still to do.
    pub(super) fn check(&self, doing: &str) -> Result<(), TrafficError> {
        if self.passed() {
            let (doing, allowed) = (doing.to_owned(), self.allowed);
            return Err(TrafficError::Deadline { doing, allowed });
        }
        Ok(())
    }
}

/// A file whose appearance ends what would otherwise go on; none if it is not given.
#[derive(Clone, Debug)]
pub(super) struct Until(Option<PathBuf>);

impl Until {
    /// From `--until`.
    pub(super) fn from_args(args: &mut Args) -> Result<Self, TrafficError> {
        Ok(Self(args.optional("until")?))
    }

    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn reached(&self) -> bool {
        self.0.as_ref().is_some_and(|file| file.exists())
    }
}

/// True for the errors that mean "nothing yet, ask again".
pub(super) fn is_try_again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// True for the errors that mean "the other end has gone".
pub(super) fn is_peer_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Connects to a listener that may still be starting.
pub(super) fn connect(to: SocketAddr, deadline: Deadline) -> Result<TcpStream, TrafficError> {
    let doing = format!("connect to {to}");
    loop {
        match TcpStream::connect_timeout(&to, Duration::from_secs(3)) {
            Ok(stream) => return prepared(stream),
            Err(error) if may_come_up(&error) => {
                deadline.check(&format!("{doing} ({error})"))?;
                thread::sleep(10 * PAUSE);
            }
            Err(error) => return Err(socket(doing)(error)),
        }
    }
}

fn may_come_up(error: &io::Error) -> bool {
    let starting = [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::AddrNotAvailable,
    ];
    is_try_again(error) || starting.contains(&error.kind())
}

/// Listens on `addr`, saying so on stderr.
pub(super) fn listen(addr: SocketAddr) -> Result<TcpListener, TrafficError> {
    let listener = TcpListener::bind(addr).map_err(socket(format!("listen on {addr}")))?;
    listener
        .set_nonblocking(true)
        .map_err(socket("make the listener non-blocking"))?;
    announce(listener.local_addr());
    Ok(listener)
}

/// Takes one connection.
pub(super) fn accept(
    listener: &TcpListener,
    deadline: Deadline,
) -> Result<(TcpStream, SocketAddr), TrafficError> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => return Ok((prepared(stream)?, peer)),
            Err(error) if is_try_again(&error) => {
                deadline.check("wait for a connection")?;
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(socket("accept")(error)),
        }
    }
}

/// Blocking with a short limit, so that loops can look at their deadline; no Nagle.
fn prepared(stream: TcpStream) -> Result<TcpStream, TrafficError> {
    stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_nodelay(true))
        .and_then(|()| stream.set_read_timeout(Some(TICK)))
        .and_then(|()| stream.set_write_timeout(Some(TICK)))
        .map_err(socket("set up the connection"))?;
    Ok(stream)
}

/// A UDP socket on `addr` that blocks for at most a tick.
pub(super) fn bind_udp(addr: SocketAddr) -> Result<UdpSocket, TrafficError> {
    let udp = UdpSocket::bind(addr).map_err(socket(format!("bind {addr}")))?;
    udp.set_read_timeout(Some(TICK))
        .and_then(|()| udp.set_write_timeout(Some(TICK)))
        .map_err(socket("set up the socket"))?;
    Ok(udp)
}

/// A UDP socket on any port, of `from` if given, else of whatever address can reach `to`.
///
/// For a multicast `to` over IPv4, `from` also chooses the interface (as the kernel's route
/// look-up has it); over IPv6 the index in `to` does.
pub(super) fn udp_towards(to: SocketAddr, from: Option<IpAddr>) -> Result<UdpSocket, TrafficError> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    bind_udp((from.unwrap_or(any), 0).into())
}

/// Has the kernel cut what is sent at once into datagrams of `size` bytes, as late on its way out
/// as it can (`UDP_SEGMENT`, udp(7)).
pub(super) fn cut_into(udp: &UdpSocket, size: u16) -> Result<(), TrafficError> {
    setsockopt(udp, UdpGsoSegment, &size.into())
        .map_err(|error| socket(format!("set UDP_SEGMENT to {size}"))(error.into()))
}

/// Where a UDP verb listens: `--listen`, and `--group` joined on `--group-on` if asked for.
pub(super) struct UdpListen {
    addr: SocketAddr,
    group: Option<(IpAddr, String)>,
}

impl UdpListen {
    pub(super) fn from_args(args: &mut Args) -> Result<Self, TrafficError> {
        let addr = args.required("listen")?;
        let group = match args.optional("group")? {
            Some(group) => Some((group, args.required("group-on")?)),
            None => None,
        };
        Ok(Self { addr, group })
    }

    /// Opens the socket, saying so on stderr.
    pub(super) fn open(&self) -> Result<UdpSocket, TrafficError> {
        let udp = bind_udp(self.addr)?;
        if let Some((group, interface)) = &self.group {
            join(&udp, *group, interface)?;
        }
        announce(udp.local_addr());
        Ok(udp)
    }
}

fn join(udp: &UdpSocket, group: IpAddr, interface: &str) -> Result<(), TrafficError> {
    let joined = match group {
        IpAddr::V4(group) => match interface.parse() {
            Ok(own) => udp.join_multicast_v4(&group, &own),
            Err(_) => {
                return Err(usage(format!(
                    "--group-on {interface}: want the IPv4 address of an interface"
                )));
            }
        },
        IpAddr::V6(group) => udp.join_multicast_v6(&group, interface_index(interface)?),
    };
    joined.map_err(socket(format!("join {group} on {interface}")))
}

/// From the table of IPv6 addresses, which knows the caller's network namespace: an interface that
/// can join an IPv6 group has at least one.
fn interface_index(name: &str) -> Result<u32, TrafficError> {
    const TABLE: &str = "/proc/net/if_inet6";
    let table = std::fs::read_to_string(TABLE).map_err(socket(format!("read {TABLE}")))?;
    let mut rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let index = rows
        .find(|row| row.last() == Some(&name))
        .and_then(|row| row.get(1).copied());
    index
        .and_then(|index| u32::from_str_radix(index, 16).ok())
        .ok_or_else(|| {
            usage(format!(
                "--group-on {name}: no interface of that name has IPv6"
            ))
        })
}

fn announce(addr: io::Result<SocketAddr>) {
    if let Ok(addr) = addr {
        // Whoever started the listener may have closed its stderr; that is no reason to stop.
        let _ = writeln!(io::stderr(), "listening {addr}");
    }
}

/// Writes all of `bytes`.
pub(super) fn write_all(
    stream: &mut TcpStream,
    mut bytes: &[u8],
    deadline: Deadline,
) -> Result<(), TrafficError> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if is_try_again(&error) => deadline.check("send")?,
            Err(error) => return Err(socket("send")(error)),
        }
    }
    Ok(())
}

/// Reads what is there, at least one byte; 0 is the end of the stream.
pub(super) fn read_some(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    deadline: Deadline,
) -> Result<usize, TrafficError> {
    loop {
        match stream.read(buffer) {
            Ok(len) => return Ok(len),
            Err(error) if is_try_again(&error) => deadline.check("receive")?,
            Err(error) => return Err(socket("receive")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_that_nobody_answers_ends_at_its_deadline() {
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let error = connect(closed, Deadline::after(Duration::from_millis(120))).unwrap_err();
        assert!(matches!(error, TrafficError::Deadline { .. }), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }

    #[test]
    fn an_interface_is_known_by_its_name() {
        assert_eq!(interface_index("lo").unwrap(), 1);
        assert!(interface_index("no-such-if").is_err());
    }
}
