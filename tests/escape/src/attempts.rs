//! What an intruder tries, one kind each.

use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;

use crate::ground::Ground;
use crate::raw::{Answer, call, call_32_bit};

/// One way out.
pub(crate) struct Attempt {
    /// Its name, for the command line and the table of expectations.
    pub(crate) name: &'static str,
    /// Tries it. With an answer it has succeeded.
    pub(crate) make: fn(&Ground) -> Answer,
}

impl Attempt {
    /// The attempt of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ATTEMPTS.iter().find(|attempt| attempt.name == name)
    }
}

const fn attempt(name: &'static str, make: fn(&Ground) -> Answer) -> Attempt {
    Attempt { name, make }
}

/// All of them.
pub(crate) const ATTEMPTS: &[Attempt] = &[
    // The counter-check: what stands before and after each attempt gets through.
    attempt("nothing", |_| Ok(0)),
    // Files
    attempt("open", |_| openat(HERE, c"/etc/passwd")),
    attempt("open-by-folder", |g| openat(g.root(), c"etc/passwd")),
    attempt("open-memory-of-parent", open_memory_of_parent),
    attempt("openat2", |g| {
        call(
            libc::SYS_openat2,
            [g.root(), at(c"etc/passwd"), at(&[0_u64; 3]), 24],
        )
    }),
    attempt("make-device-node", make_device_node),
    attempt("open-by-handle", |g| {
        call(
            libc::SYS_open_by_handle_at,
            [g.root(), at(&[8_u32, 1, 0, 0]), 0],
        )
    }),
    attempt("leave-chroot", |g| {
        call(libc::SYS_fchdir, [g.root()])?;
        call(libc::SYS_chroot, [at(c".")])
    }),
    attempt("fanotify", |_| call(libc::SYS_fanotify_init, [4, 0])),
    attempt("memfd", |_| call(libc::SYS_memfd_create, [at(c"m"), 0])),
    // Sockets
    attempt("socket-inet", |_| {
        socket(libc::AF_INET, libc::SOCK_DGRAM, 0)
    }),
    attempt("socket-netlink", |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)
    }),
    attempt("socket-packet", |_| {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
    }),
    attempt("socket-raw", |_| socket(libc::AF_INET, libc::SOCK_RAW, 1)),
    attempt("socket-unix", |_| {
        socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
    }),
    attempt("connect-tcp", |_| {
        let somewhere = SocketAddr::from(([127, 0, 0, 1], 9));
        TcpStream::connect(somewhere).map(|_| 0)
    }),
    attempt("bind-tcp", |_| {
        TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map(|_| 0)
    }),
    attempt("connect-unix", |g| {
        let name = supervisor_socket(u32::try_from(g.parent).map_err(Error::other)?)?;
        net::UnixStream::connect_addr(&name).map(|_| 0)
    }),
    // Programs and processes
    attempt("exec", |_| execveat(HERE, c"/bin/true", 0)),
    attempt("exec-by-folder", |g| execveat(g.root(), c"bin/true", 0)),
    attempt("exec-memory", |g| {
        execveat(g.program(), c"", libc::AT_EMPTY_PATH)
    }),
    attempt("fork", |_| {
        in_child(call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0]))
    }),
    attempt("clone3", |_| call(libc::SYS_clone3, [0, 0])),
    attempt("kill-parent", |g| call(libc::SYS_kill, [g.parent, 0])),
    attempt("tgkill-parent", |g| {
        call(libc::SYS_tgkill, [g.parent, g.parent, 0])
    }),
    attempt("kill-sibling", |g| call(libc::SYS_kill, [g.sibling, 0])),
    attempt("ptrace-sibling", |g| {
        call(libc::SYS_ptrace, [SEIZE, g.sibling, 0, 0])
    }),
    attempt("ptrace-parent", |g| {
        call(libc::SYS_ptrace, [SEIZE, g.parent, 0, 0])
    }),
    attempt("read-parent", read_parent),
    attempt("steal-descriptor", |g| {
        let process = call(libc::SYS_pidfd_open, [g.parent, 0])?;
        call(libc::SYS_pidfd_getfd, [process, 1, 0])
    }),
    attempt("limit-parent", |g| {
        let limit = [u64::MAX; 2];
        call(
            libc::SYS_prlimit64,
            [g.parent, libc::RLIMIT_CORE as usize, 0, at(&limit)],
        )
    }),
    attempt("real-time", |_| {
        call(libc::SYS_sched_setscheduler, [0, 1, at(&1_u32)])
    }),
    // Executable memory
    attempt("map-executable", |_| map(libc::PROT_READ | libc::PROT_EXEC)),
    attempt("make-executable", |_| protect(libc::SYS_mprotect)),
    attempt("make-executable-by-key", |_| {
        protect(libc::SYS_pkey_mprotect)
    }),
    attempt("personality", |_| call(libc::SYS_personality, [0x040_0000])),
    attempt("shared-memory", |_| {
        call(libc::SYS_shmget, [0, 4096, 0o600])
    }),
    // Privileges
    attempt("setuid", |_| call(libc::SYS_setuid, [0])),
    attempt("setgroups", |_| call(libc::SYS_setgroups, [1, at(&0_u32)])),
    attempt("capset", |_| {
        let two = 1_u32 << 12 | 1 << 21;
        let every = [two, two, 0, 0, 0, 0];
        call(libc::SYS_capset, [at(&[0x2008_0522_u32, 0]), at(&every)])
    }),
    attempt("user-namespace", |_| {
        call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize])
    }),
    attempt("network-namespace", |_| {
        call(libc::SYS_unshare, [libc::CLONE_NEWNET as usize])
    }),
    attempt("setns", |g| call(libc::SYS_setns, [g.namespace(), 0])),
    attempt("dumpable", |_| call(libc::SYS_prctl, [4, 1, 0, 0, 0])),
    attempt("keyring", |_| call(libc::SYS_keyctl, [1, 0])),
    // The machine
    // What would do harm is asked for in a way that a kernel without objections cannot grant.
    attempt("mount", |_| {
        call(
            libc::SYS_mount,
            [at(c"none"), at(c"/"), at(c"no-such-type"), 0, 0],
        )
    }),
    attempt("unmount", |_| {
        let contradiction = libc::MNT_EXPIRE | libc::MNT_FORCE;
        call(
            libc::SYS_umount2,
            [at(c"/"), contradiction.unsigned_abs() as usize],
        )
    }),
    attempt("pivot-root", |_| {
        call(libc::SYS_pivot_root, [at(c"/nowhere"), at(c"/nowhere")])
    }),
    attempt("host-name", |_| call(libc::SYS_sethostname, [at(c"x"), 65])),
    attempt("load-module", |_| {
        call(libc::SYS_init_module, [at(&[0_u8; 64]), 64, at(c"")])
    }),
    attempt("kexec", |_| {
        call(libc::SYS_kexec_load, [0, 0, 0, usize::MAX])
    }),
    attempt("reboot", |_| call(libc::SYS_reboot, [0, 0, 0, 0])),
    attempt("swapon", |_| call(libc::SYS_swapon, [at(c"/nowhere"), 0])),
    attempt("kernel-log", |_| call(libc::SYS_syslog, [9, 0, 0])),
    attempt("all-io-ports", |_| call(libc::SYS_iopl, [3])),
    attempt("one-io-port", |_| call(libc::SYS_ioperm, [0x80, 1, 1])),
    // Doors of the kernel
    attempt("bpf", |_| call(libc::SYS_bpf, [11, at(&[0_u32; 4]), 16])),
    attempt("perf-event", perf_event),
    attempt("io-uring", io_uring),
    attempt("userfaultfd", |_| call(libc::SYS_userfaultfd, [0])),
    attempt("ioctl-vfio-reset", |g| {
        call(libc::SYS_ioctl, [g.null(), 0x3b6f, 0])
    }),
    attempt("ioctl-terminal", |g| {
        call(libc::SYS_ioctl, [g.null(), 0x5412, at(c"x")])
    }),
    attempt("ioctl-tap", tap_interface),
    attempt("32-bit-call", |_| call_32_bit(20)),
    attempt("x32-call", |_| call(0x4000_0000 | libc::SYS_getpid, [])),
];

/// Where the process that plays the supervisor listens.
pub(crate) fn supervisor_socket(process: u32) -> std::io::Result<net::SocketAddr> {
    net::SocketAddr::from_abstract_name(format!("cage-escape-{process}"))
}

/// `AT_FDCWD`.
const HERE: usize = usize::MAX - 99;
/// `PTRACE_SEIZE`.
const SEIZE: usize = 0x4206;

fn at<T: ?Sized>(value: &T) -> usize {
    (&raw const *value).addr()
}

fn openat(folder: usize, path: &std::ffi::CStr) -> Answer {
    call(libc::SYS_openat, [folder, at(path), 0, 0])
}

fn execveat(folder: usize, path: &std::ffi::CStr, flags: libc::c_int) -> Answer {
    let none = [0_usize];
    let flags = flags.unsigned_abs() as usize;
    call(
        libc::SYS_execveat,
        [folder, at(path), at(&none), at(&none), flags],
    )
}

fn socket(family: libc::c_int, kind: libc::c_int, protocol: usize) -> Answer {
    let [family, kind] = [family, kind].map(|n| n.unsigned_abs() as usize);
    call(libc::SYS_socket, [family, kind, protocol])
}

/// A child ends at once; its parent has succeeded.
fn in_child(answer: Answer) -> Answer {
    if let Ok(0) = answer {
        call(libc::SYS_exit_group, [0])?;
    }
    answer
}

fn open_memory_of_parent(ground: &Ground) -> Answer {
    let path = std::ffi::CString::new(format!("proc/{}/mem", ground.parent))?;
    openat(ground.root(), &path)
}

/// The machine's memory, beside its root.
fn make_device_node(ground: &Ground) -> Answer {
    let path = c"tmp/cage-escape-node";
    let device = 1 << 8 | 1;
    call(
        libc::SYS_mknodat,
        [ground.root(), at(path), 0o020_600, device],
    )?;
    call(libc::SYS_unlinkat, [ground.root(), at(path), 0])
}

fn read_parent(ground: &Ground) -> Answer {
    let mut secret = [0_u8; 8];
    let into = [(&raw mut secret).addr(), secret.len()];
    let from = [ground.parent_memory, secret.len()];
    call(
        libc::SYS_process_vm_readv,
        [ground.parent, at(&into), 1, at(&from), 1, 0],
    )?;
    match &std::hint::black_box(secret) {
        b"a secret" => Ok(0),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

fn map(protection: libc::c_int) -> Answer {
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).unsigned_abs() as usize;
    let protection = protection.unsigned_abs() as usize;
    call(
        libc::SYS_mmap,
        [0, 4096, protection, anonymous, usize::MAX, 0],
    )
}

fn protect(number: libc::c_long) -> Answer {
    let page = map(libc::PROT_READ | libc::PROT_WRITE)?;
    let executable = (libc::PROT_READ | libc::PROT_EXEC).unsigned_abs() as usize;
    call(number, [page, 4096, executable, usize::MAX])
}

/// Counts the parent's context switches.
fn perf_event(ground: &Ground) -> Answer {
    let mut attributes = [0_u32; 28];
    (attributes[0], attributes[1], attributes[2]) = (1, 112, 3);
    call(
        libc::SYS_perf_event_open,
        [at(&attributes), ground.parent, usize::MAX, usize::MAX, 0],
    )
}

fn io_uring(_: &Ground) -> Answer {
    let mut parameters = [0_u32; 30];
    call(libc::SYS_io_uring_setup, [1, (&raw mut parameters).addr()])
}

/// A TAP interface in the machine's namespace, gone with its descriptor.
fn tap_interface(ground: &Ground) -> Answer {
    let mut request = [0_u8; 40];
    request[..9].copy_from_slice(b"cageesc%d");
    request[16] = 2;
    match ground.tun() {
        usize::MAX => Err(Error::from_raw_os_error(libc::ENXIO)),
        tun => call(libc::SYS_ioctl, [tun, 0x4004_54ca, at(&request)]),
    }
}
