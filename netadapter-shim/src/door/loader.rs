//! Loading a client: from a file to a library whose function table is filled.
//!
//! ```text
//!   file ── a shared object for this machine? ── dlopen ── UmnetClient, DriverEntry there?
//!        ── versions served? ── every function known? ── table filled, globals set
//! ```
//!
//! Nothing of the client runs before its versions and functions are found good, except what its
//! language runs when a library is loaded.

// A library's symbols are addresses without types, and its bind structure is memory that it owns.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::globals::{self, Client};
use super::hosted::entry::EntryArguments;
use super::table;
use crate::abi::{BindError, NetAdapterCxVersion, NtStatus};

/// Why a file cannot be loaded as a client.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This build cannot load anything.
    #[error("this umnet is linked statically and cannot load {}", .file.display())]
    StaticHost {
        /// The client.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Read {
        /// The client.
        file: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not a shared object for this machine: {why}", .file.display())]
    NotAnObject {
        /// The client.
        file: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// The dynamic loader refuses it.
    #[error("cannot load {}: {why}", .file.display())]
    Open {
        /// The client.
        file: PathBuf,
        /// What the dynamic loader said.
        why: String,
    },
    /// A symbol that every client has is not there.
    #[error("{} has no {symbol}: {meaning}", .file.display())]
    NoSymbol {
        /// The client.
        file: PathBuf,
        /// The symbol.
        symbol: &'static str,
        /// What its absence means.
        meaning: &'static str,
    },
    /// The bind structure is not one of ours.
    #[error("{}: its bind structure is damaged or from other headers: {why}", .file.display())]
    Binding {
        /// The client.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It was built for a NetAdapterCx that is not served.
    #[error("{}: {source} (STATUS_NOT_SUPPORTED)", .file.display())]
    NetAdapterCx {
        /// The client.
        file: PathBuf,
        /// Both versions.
        source: BindError,
    },
    /// It was built for a WDF that is not served.
    #[error(
        "{}: the client asks for UMDF {major}.{minor}, this framework offers UMDF {}.{} \
         (STATUS_NOT_SUPPORTED)", .file.display(), UMDF.0, UMDF.1
    )]
    Umdf {
        /// The client.
        file: PathBuf,
        /// `UMDF_VERSION_MAJOR`
        major: u32,
        /// `UMDF_VERSION_MINOR`
        minor: u32,
    },
    /// It calls functions that this framework does not have.
    #[error("{}: the client calls {} which this framework does not have", .file.display(), listed(.names))]
    UnknownFunctions {
        /// The client.
        file: PathBuf,
        /// Which ones.
        names: Vec<String>,
    },
}

/// The first few of many names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let first = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => format!("{},", first.join(", ")),
        Some(more) => format!("{} and {more} more,", first.join(", ")),
    }
}

impl LoadError {
    /// The status Windows has for it.
    pub fn status(&self) -> NtStatus {
        match self {
            Self::NetAdapterCx { source, .. } => source.status(),
            Self::Umdf { .. } => NtStatus::NOT_SUPPORTED,
            Self::Binding { .. } | Self::UnknownFunctions { .. } => NtStatus::INVALID_PARAMETER,
            _ => NtStatus::UNSUCCESSFUL,
        }
    }
}

/// The UMDF version user-mode NetAdapterCx starts with, and the one offered here.
const UMDF: (u32, u32) = (2, 33);
/// More functions than any client can ask for.
const MOST_FUNCTIONS: u32 = 4096;
/// Longer than any function's name.
const LONGEST_NAME: usize = 255;

/// `struct UMNET_CLIENT` of `umnet/bind.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Binding {
    size: u32,
    header_revision: u32,
    net_major: u32,
    net_minor: u32,
    net_minimum_required: u32,
    umdf_major: u32,
    umdf_minor: u32,
    function_count: u32,
    function_names: *const *const c_char,
    functions: *mut *mut c_void,
    globals: *mut c_void,
}

/// `DRIVER_INITIALIZE`
type DriverEntry = unsafe extern "C" fn(*mut c_void, *mut c_void) -> NtStatus;

/// A client whose table is filled; nothing of it has been called yet.
pub(crate) struct Loaded {
    /// What the hidden first arguments stand for.
    pub(crate) client: Arc<Client>,
    entry: DriverEntry,
}

impl Loaded {
    /// Calls the client's DriverEntry. What it is given must stay where it is for as long as the
    /// client's driver object is there.
    pub(crate) fn enter(&self, arguments: &mut EntryArguments) -> NtStatus {
        // SAFETY: a client's DriverEntry takes these two, and its table is filled.
        unsafe { (self.entry)(arguments.object(), arguments.registry_path()) }
    }
}

/// Loads a client. The library stays in memory for as long as the process: a thread that the
/// client forgot may still run in it.
///
/// # Errors
/// [`LoadError`]; nothing of the client has been called then.
pub(crate) fn load(file: &Path) -> Result<Loaded, LoadError> {
    check_object(file)?;
    let library = Library::open(file)?;
    let entry = library.symbol(c"DriverEntry", NO_ENTRY)?;
    let binding: *mut Binding = library.symbol(c"UmnetClient", NO_BINDING)?.cast();
    let client = bind(file, binding)?;
    library.keep();
    // SAFETY: by its declaration in ntddk.h and wdm.h, which the headers repeat, a function named
    // DriverEntry has this signature; a library that breaks this is no driver at all.
    let entry = unsafe { std::mem::transmute::<*mut c_void, DriverEntry>(entry) };
    Ok(Loaded { client, entry })
}

const NO_ENTRY: &str = "it is no driver, or hides its entry point (in C++ declare it extern \"C\")";
const NO_BINDING: &str = "it was not compiled against umnet's netadaptercx.h and wdf.h";

/// Reads enough of the file to say what is wrong with it in words of our own.
fn check_object(file: &Path) -> Result<(), LoadError> {
    let not = |why| {
        Err(LoadError::NotAnObject {
            file: file.to_owned(),
            why,
        })
    };
    let mut head = [0; 20];
    match read_head(file, &mut head) {
        Err(source) => Err(LoadError::Read {
            file: file.to_owned(),
            source,
        }),
        Ok(read) if read < head.len() => not("the file is too short"),
        Ok(_) if head.starts_with(b"MZ") => not("it is a Windows binary; compile its source"),
        Ok(_) if !head.starts_with(b"\x7fELF") => not("it is no ELF file"),
        Ok(_) if head[4] != 2 || head[5] != 1 => not("it is not 64-bit little-endian"),
        Ok(_) if u16::from_le_bytes([head[16], head[17]]) != ELF_SHARED => {
            not("it is an object file or a program; link it with -shared")
        }
        Ok(_) if u16::from_le_bytes([head[18], head[19]]) != ELF_MACHINE => {
            not("it was built for another processor")
        }
        Ok(_) => Ok(()),
    }
}

fn read_head(file: &Path, head: &mut [u8]) -> io::Result<usize> {
    let mut opened = File::open(file)?;
    let mut read = 0;
    while read < head.len() {
        match opened.read(&mut head[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// `ET_DYN`
const ELF_SHARED: u16 = 3;
/// `EM_X86_64`, `EM_AARCH64`
const ELF_MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    62
};

/// Checks the bind structure and fills it.
fn bind(file: &Path, binding: *mut Binding) -> Result<Arc<Client>, LoadError> {
    let damaged = |why: String| LoadError::Binding {
        file: file.to_owned(),
        why,
    };
    // SAFETY: `binding` is the address of a symbol of a loaded library; the structure always
    // begins with its size, and symbols are aligned for what they stand for.
    let size = unsafe { binding.cast::<u32>().read() };
    if size as usize != size_of::<Binding>() {
        let expected = size_of::<Binding>();
        return Err(damaged(format!("Size is {size}, expected {expected}")));
    }
    // SAFETY: the structure is as long as ours; it is copied once and only the copy is used.
    let copy = unsafe { binding.read() };
    check_versions(file, &copy)?;
    if copy.function_count > MOST_FUNCTIONS
        || copy.function_names.is_null()
        || copy.functions.is_null()
    {
        let count = copy.function_count;
        return Err(damaged(format!("{count} functions without a table")));
    }
    let addresses = resolve(file, &copy)?;
    for (index, address) in addresses.into_iter().enumerate() {
        // SAFETY: the table has `function_count` places, as many as there are names.
        let place = unsafe { copy.functions.add(index) };
        // SAFETY: as above; the table is the client's own, and nothing of it runs yet.
        unsafe { place.write(address) };
    }
    let name = stem(file);
    let version = NetAdapterCxVersion {
        major: copy.net_major,
        minor: copy.net_minor,
    };
    let client = globals::bind(&name, version);
    // SAFETY: a field of the structure that was read above.
    let place = unsafe { &raw mut (*binding).globals };
    // SAFETY: as above; nothing of the client runs yet.
    unsafe { place.write(client.pointer()) };
    log::debug!(
        "{name}: built for NetAdapterCx {version} (at least 2.{}), UMDF {}.{}, headers {}",
        copy.net_minimum_required,
        copy.umdf_major,
        copy.umdf_minor,
        copy.header_revision
    );
    Ok(client)
}

fn check_versions(file: &Path, binding: &Binding) -> Result<(), LoadError> {
    let asked = NetAdapterCxVersion {
        major: binding.net_major,
        minor: binding.net_minor,
    };
    asked.bind().map_err(|source| LoadError::NetAdapterCx {
        file: file.to_owned(),
        source,
    })?;
    if (binding.umdf_major, binding.umdf_minor) == UMDF {
        return Ok(());
    }
    Err(LoadError::Umdf {
        file: file.to_owned(),
        major: binding.umdf_major,
        minor: binding.umdf_minor,
    })
}

/// The addresses of all functions the client names, in its order.
fn resolve(file: &Path, binding: &Binding) -> Result<Vec<*mut c_void>, LoadError> {
    let mut addresses = Vec::new();
    let mut unknown = Vec::new();
    for index in 0..binding.function_count as usize {
        let name = function_name(binding, index);
        match name.as_deref().and_then(table::find) {
            Some(entry) => addresses.push(entry.address()),
            None => unknown.push(name.unwrap_or_else(|| format!("function number {index}"))),
        }
    }
    if unknown.is_empty() {
        return Ok(addresses);
    }
    Err(LoadError::UnknownFunctions {
        file: file.to_owned(),
        names: unknown,
    })
}

fn function_name(binding: &Binding, index: usize) -> Option<String> {
    // SAFETY: the list has `function_count` entries, and `index` is below that.
    let place = unsafe { binding.function_names.add(index) };
    // SAFETY: as above.
    let name = unsafe { place.read() };
    if name.is_null() {
        return None;
    }
    // SAFETY: the headers make every entry a string literal, which ends with a NUL.
    let name = unsafe { CStr::from_ptr(name) };
    let name = name.to_str().ok()?;
    (name.len() <= LONGEST_NAME).then(|| name.to_owned())
}

/// What messages, configuration and status call the client: the file's name without its ending.
pub(crate) fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// A library, unloaded again unless it is kept.
struct Library {
    file: PathBuf,
    #[cfg(not(target_feature = "crt-static"))]
    opened: libloading::os::unix::Library,
}

#[cfg(not(target_feature = "crt-static"))]
impl Library {
    fn open(file: &Path) -> Result<Self, LoadError> {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // A name without a slash would be looked for in the system's library folders.
        let path = file.canonicalize().map_err(|source| LoadError::Read {
            file: file.to_owned(),
            source,
        })?;
        // SAFETY: the library's initialisers run here. They are the client's code, which is
        // about to run in this process anyway: that is what this host is for.
        let opened = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let opened = opened.map_err(|error| LoadError::Open {
            file: file.to_owned(),
            why: one_line(&error),
        })?;
        let file = file.to_owned();
        Ok(Self { file, opened })
    }

    fn symbol(&self, name: &'static CStr, meaning: &'static str) -> Result<*mut c_void, LoadError> {
        // SAFETY: the address is only handed on, as the untyped pointer that it is.
        let found = unsafe { self.opened.get::<*mut c_void>(name.to_bytes_with_nul()) };
        let address = found.map_or(std::ptr::null_mut(), |symbol| symbol.as_raw_ptr());
        if address.is_null() {
            return Err(LoadError::NoSymbol {
                file: self.file.clone(),
                symbol: name.to_str().unwrap_or_default(),
                meaning,
            });
        }
        Ok(address)
    }

    /// Leaves the library in memory for as long as the process.
    fn keep(self) {
        let _ = self.opened.into_raw();
    }
}

#[cfg(target_feature = "crt-static")]
impl Library {
    fn open(file: &Path) -> Result<Self, LoadError> {
        Err(LoadError::StaticHost {
            file: file.to_owned(),
        })
    }

    fn symbol(&self, name: &'static CStr, meaning: &'static str) -> Result<*mut c_void, LoadError> {
        Err(LoadError::NoSymbol {
            file: self.file.clone(),
            symbol: name.to_str().unwrap_or_default(),
            meaning,
        })
    }

    fn keep(self) {}
}

/// What the dynamic loader says, without the part that repeats the path.
#[cfg(not(target_feature = "crt-static"))]
fn one_line(error: &libloading::Error) -> String {
    use std::error::Error;
    let text = match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
