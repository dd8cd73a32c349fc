//! Registers of the device: a window of a BAR, mapped or read and written through VFIO.
#![allow(unsafe_code)] // volatile access to device registers

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use super::info::RegionInfo;
use super::pci::Window;
use super::sys::{self, Device};
use crate::transport::TransportError;

/// Width of one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    U8 = 1,
    U16 = 2,
    U32 = 4,
}

/// Registers that are reached one aligned, little-endian word at a time.
pub(super) trait Registers: Send + Sync {
    /// Bytes there are.
    fn len(&self) -> usize;

    /// Reads one word.
    ///
    /// # Errors
    /// What the system answers, or `InvalidInput` for an offset that is misaligned or outside.
    fn read(&self, offset: usize, width: Width) -> io::Result<u32>;

    /// Writes one word; errors as for [`Registers::read`].
    fn write(&self, offset: usize, width: Width, value: u32) -> io::Result<()>;

    /// Whether an access is one of memory, and no system call.
    fn is_mapped(&self) -> bool {
        false
    }
}

/// Opens `window` of `region`: mapped where that is allowed and touches none of `never_mapped`,
/// else through the device's file.
pub(super) fn open(
    device: &Arc<Device>,
    region: &RegionInfo,
    window: Window,
    never_mapped: &[Window],
) -> Arc<dyn Registers> {
    let base = region.offset.saturating_add(window.offset);
    if may_map(region, window, never_mapped, sys::page_size()) {
        match Mapped::new(device.file(), base, window.len) {
            Ok(mapped) => return Arc::new(mapped),
            Err(e) => log::debug!("BAR {} cannot be mapped ({e}), using VFIO", window.bar),
        }
    }
    Arc::new(ThroughFile {
        device: Arc::clone(device),
        base,
        len: window.len as usize,
    })
}

/// Whether all pages of `window` may be mapped and none holds what must not be.
fn may_map(region: &RegionInfo, window: Window, never_mapped: &[Window], page: u64) -> bool {
    let start = window.offset / page * page;
    let pages = Window {
        offset: start,
        len: window.end().next_multiple_of(page) - start,
        ..window
    };
    let allowed = region
        .mappable
        .iter()
        .any(|area| area.start <= pages.offset && pages.end() <= area.end.next_multiple_of(page));
    allowed && !never_mapped.iter().any(|w| w.overlaps(&pages))
}

/// A window mapped into this process.
struct Mapped(MmapRaw);

impl Mapped {
    fn new(file: &File, offset: u64, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let map = MmapOptions::new().offset(offset).len(len).map_raw(file)?;
        Ok(Self(map))
    }

    fn address(&self, offset: usize, width: Width) -> io::Result<*mut u8> {
        check(offset, width, self.len())?;
        let address = self.0.as_mut_ptr().wrapping_add(offset);
        if address.addr().is_multiple_of(width as usize) {
            return Ok(address);
        }
        Err(misplaced(offset, width, self.len()))
    }
}

impl Registers for Mapped {
    fn is_mapped(&self) -> bool {
        true
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, width: Width) -> io::Result<u32> {
        let at = self.address(offset, width)?;
        Ok(match width {
            // SAFETY: `address` has checked that the byte lies inside the mapping.
            Width::U8 => u32::from(unsafe { at.read_volatile() }),
            Width::U16 => {
                // SAFETY: the same for two bytes, and that they are aligned.
                u32::from(u16::from_le(unsafe { at.cast::<u16>().read_volatile() }))
            }
            // SAFETY: the same for four bytes.
            Width::U32 => u32::from_le(unsafe { at.cast::<u32>().read_volatile() }),
        })
    }

    #[inline]
    fn write(&self, offset: usize, width: Width, value: u32) -> io::Result<()> {
        let at = self.address(offset, width)?;
        match width {
            // SAFETY: `address` has checked that the byte lies inside the mapping, which is of
            // device registers: no reference points there.
            Width::U8 => unsafe { at.write_volatile(value as u8) },
            Width::U16 => {
                // SAFETY: the same for two bytes, and that they are aligned.
                unsafe { at.cast::<u16>().write_volatile((value as u16).to_le()) }
            }
            // SAFETY: the same for four bytes.
            Width::U32 => unsafe { at.cast::<u32>().write_volatile(value.to_le()) },
        }
        Ok(())
    }
}

/// A window that VFIO reads and writes for us; one call is one access of the same width.
struct ThroughFile {
    device: Arc<Device>,
    base: u64,
    len: usize,
}

impl Registers for ThroughFile {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, offset: usize, width: Width) -> io::Result<u32> {
        check(offset, width, self.len)?;
        let mut bytes = [0; 4];
        let at = self.base + offset as u64;
        let field = &mut bytes[..width as usize];
        self.device.file().read_exact_at(field, at)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn write(&self, offset: usize, width: Width, value: u32) -> io::Result<()> {
        check(offset, width, self.len)?;
        let bytes = value.to_le_bytes();
        let at = self.base + offset as u64;
        self.device
            .file()
            .write_all_at(&bytes[..width as usize], at)
    }
}

fn check(offset: usize, width: Width, len: usize) -> io::Result<()> {
    let inside = offset
        .checked_add(width as usize)
        .is_some_and(|end| end <= len);
    if inside && offset.is_multiple_of(width as usize) {
        return Ok(());
    }
    Err(misplaced(offset, width, len))
}

fn misplaced(offset: usize, width: Width, len: usize) -> io::Error {
    let text = format!("{width:?} at {offset:#x} is misaligned or outside {len:#x} bytes");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Registers with the device's name, for traces and errors.
#[derive(Clone)]
pub(super) struct RegisterBlock {
    device: Arc<str>,
    /// The structure, for example `common`.
    structure: &'static str,
    registers: Arc<dyn Registers>,
}

impl RegisterBlock {
    pub(super) fn new(
        device: &Arc<str>,
        structure: &'static str,
        registers: Arc<dyn Registers>,
    ) -> Self {
        Self {
            device: Arc::clone(device),
            structure,
            registers,
        }
    }

    pub(super) fn device(&self) -> &str {
        &self.device
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.registers.is_mapped()
    }

    pub(super) fn len(&self) -> usize {
        self.registers.len()
    }

    pub(super) fn read(&self, offset: usize, width: Width) -> Result<u32, TransportError> {
        let value = self.registers.read(offset, width);
        let value = value.map_err(|source| self.failed("reading", offset, source))?;
        let Self {
            device, structure, ..
        } = self;
        log::trace!("{device}: {structure}+{offset:#04x} reads {value:#x}");
        Ok(value)
    }

    pub(super) fn write(
        &self,
        offset: usize,
        width: Width,
        value: u32,
    ) -> Result<(), TransportError> {
        let Self {
            device, structure, ..
        } = self;
        log::trace!("{device}: {structure}+{offset:#04x} is written {value:#x}");
        let written = self.registers.write(offset, width, value);
        written.map_err(|source| self.failed("writing", offset, source))
    }

    pub(super) fn read_u8(&self, offset: usize) -> Result<u8, TransportError> {
        self.read(offset, Width::U8).map(|value| value as u8)
    }

    pub(super) fn read_u16(&self, offset: usize) -> Result<u16, TransportError> {
        self.read(offset, Width::U16).map(|value| value as u16)
    }

    pub(super) fn read_u32(&self, offset: usize) -> Result<u32, TransportError> {
        self.read(offset, Width::U32)
    }

    pub(super) fn write_u8(&self, offset: usize, value: u8) -> Result<(), TransportError> {
        self.write(offset, Width::U8, value.into())
    }

    pub(super) fn write_u16(&self, offset: usize, value: u16) -> Result<(), TransportError> {
        self.write(offset, Width::U16, value.into())
    }

    pub(super) fn write_u32(&self, offset: usize, value: u32) -> Result<(), TransportError> {
        self.write(offset, Width::U32, value)
    }

    /// Writes a 64-bit field as two halves (§ *Common configuration structure layout*).
    pub(super) fn write_u64(&self, offset: usize, value: u64) -> Result<(), TransportError> {
        self.write_u32(offset, value as u32)?;
        self.write_u32(offset + 4, (value >> 32) as u32)
    }

    /// Reads a field with one access if it has a width for that, else byte by byte: fields of
    /// other lengths are arrays of bytes (§ *Device Configuration Space*).
    pub(super) fn read_field(&self, offset: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        let width = match bytes.len() {
            2 => Some(Width::U16),
            4 => Some(Width::U32),
            _ => None,
        };
        if let Some(width) = width.filter(|&width| offset.is_multiple_of(width as usize)) {
            let word = self.read(offset, width)?.to_le_bytes();
            bytes.copy_from_slice(&word[..width as usize]);
            return Ok(());
        }
        for (at, byte) in (offset..).zip(bytes) {
            *byte = self.read_u8(at)?;
        }
        Ok(())
    }

    fn failed(&self, doing: &str, offset: usize, source: io::Error) -> TransportError {
        TransportError::Io {
            device: self.device.to_string(),
            operation: format!("{doing} {}+{offset:#04x}", self.structure),
            source,
        }
    }
}

#[cfg(test)]
pub(super) mod fake;

#[cfg(test)]
mod tests;
