//! § *Virtio Structure PCI Capabilities*: where a device keeps its structures.
//!
//! Works on a private copy of the configuration space, so the device cannot change its mind
//! between check and use. Every offset it names is checked against its own BAR before use;
//! of each type the first capability that passes is taken.

use super::regs::Width;
use crate::spec::net::config;
use crate::spec::pci::*;

/// Bytes of configuration space in which capabilities lie.
pub(super) const CONFIG_LEN: usize = 256;
/// Number of BARs.
pub(super) const BAR_COUNT: usize = 6;

/// Offsets in the header of configuration space.
pub(super) mod header {
    pub(in super::super) const VENDOR: usize = 0x00;
    pub(in super::super) const DEVICE: usize = 0x02;
    pub(in super::super) const COMMAND: usize = 0x04;
    pub(in super::super) const STATUS: usize = 0x06;
    pub(in super::super) const BARS: usize = 0x10;
    pub(in super::super) const CAPABILITIES: usize = 0x34;
    pub(in super::super) const COMMAND_MEMORY: u16 = 1 << 1;
    pub(in super::super) const COMMAND_MASTER: u16 = 1 << 2;
    pub(in super::super) const STATUS_CAPABILITIES: u16 = 1 << 4;
}

/// Capabilities begin behind the header.
const FIRST_CAPABILITY: usize = 0x40;
/// As many as fit: each takes at least four bytes.
const MAX_CAPABILITIES: usize = (CONFIG_LEN - FIRST_CAPABILITY) / 4;
/// PCI capability id: MSI-X.
const CAP_MSIX: u8 = 0x11;

/// Bytes that any doorbell is written with, at least.
const DOORBELL_LEN: u64 = 2;

/// A piece of a BAR, known to lie inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) bar: u8,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Window {
    /// One past the last byte. Windows of devices lie inside a BAR, so this does not overflow.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.bar == other.bar && self.offset < other.end() && other.offset < self.end()
    }

    /// The first `len` bytes, or all when there are fewer.
    fn first(self, len: usize) -> Self {
        let len = self.len.min(len as u64);
        Self { len, ..self }
    }
}

/// Where the structures of a virtio device lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) common: Window,
    pub(super) notify: Window,
    pub(super) notify_off_multiplier: u32,
    pub(super) device: Option<Window>,
    /// MSI-X table and pending bits: never mapped, never written.
    pub(super) msix: Vec<Window>,
}

impl Layout {
    /// Reads the capabilities in `config`; `bar_len` are the sizes of the BARs, 0 for none.
    pub(super) fn parse(config: &[u8], bar_len: &[u64]) -> Result<Self, PciFault> {
        let id = identify(config)?;
        let found = Found::walk(config, bar_len)?;
        if id == DEVICE_ID_NET_TRANSITIONAL && found.seen == 0 {
            return Err(PciFault::LegacyOnly);
        }
        let common = found.common.or_missing("common configuration")?;
        let (notify, notify_off_multiplier) = found.notify.or_missing("notification")?;
        let layout = Self {
            common,
            notify,
            notify_off_multiplier,
            device: found.device.usable,
            msix: found.msix,
        };
        layout.check_apart()?;
        Ok(layout)
    }

    /// Where in the notification structure the doorbell with `queue_notify_off` lies that is rung
    /// by `width` bytes (§ *Notification structure layout*).
    pub(super) fn doorbell(
        &self,
        queue_notify_off: u16,
        width: Width,
    ) -> Result<usize, DoorbellFault> {
        let len = width as u64;
        let multiplier = u64::from(self.notify_off_multiplier);
        let offset = u64::from(queue_notify_off) * multiplier; // 16 by 32 bits: no overflow
        let fault = DoorbellFault {
            queue_notify_off,
            multiplier: self.notify_off_multiplier,
            len: self.notify.len,
            width: len,
        };
        let written = Window {
            bar: self.notify.bar,
            offset: self.notify.offset.checked_add(offset).ok_or(fault)?,
            len,
        };
        let inside = offset + len <= self.notify.len && written.offset.is_multiple_of(len);
        if !inside || self.own_structures().any(|w| w.overlaps(&written)) {
            return Err(fault);
        }
        usize::try_from(offset).map_err(|_| fault)
    }

    /// What a doorbell must not reach: the used parts of the other structures.
    fn own_structures(&self) -> impl Iterator<Item = Window> + '_ {
        let device = self.device.map(|w| w.first(config::DUPLEX + 1));
        [self.common.first(common::SIZE)]
            .into_iter()
            .chain(device)
            .chain(self.msix.iter().copied())
    }

    /// Refuses structures of which one would be written through another.
    fn check_apart(&self) -> Result<(), PciFault> {
        let windows: Vec<Window> = self.own_structures().collect();
        for (i, a) in windows.iter().enumerate() {
            if let Some(b) = windows[i + 1..].iter().find(|b| a.overlaps(b)) {
                return Err(PciFault::Overlap {
                    bar: a.bar,
                    first: a.offset,
                    second: b.offset,
                });
            }
        }
        Ok(())
    }
}

/// Whether this is a virtio network device; its device id.
fn identify(config: &[u8]) -> Result<u16, PciFault> {
    let vendor = u16_at(config, header::VENDOR).ok_or(PciFault::Truncated)?;
    let device = u16_at(config, header::DEVICE).ok_or(PciFault::Truncated)?;
    match (vendor, device) {
        (0xffff, _) => Err(PciFault::Absent),
        (VENDOR_ID, DEVICE_ID_NET | DEVICE_ID_NET_TRANSITIONAL) => Ok(device),
        _ => Err(PciFault::NotVirtioNet { vendor, device }),
    }
}

/// The search for one type of capability: the first usable one, else why the last was not.
struct Search<T> {
    usable: Option<T>,
    unfit: Option<Unfit>,
}

// By hand, because a derived one would ask it of `T` too.
impl<T> Default for Search<T> {
    fn default() -> Self {
        Self {
            usable: None,
            unfit: None,
        }
    }
}

impl<T> Search<T> {
    fn offer(&mut self, candidate: Result<T, Unfit>) {
        match candidate {
            Ok(value) => self.usable = self.usable.take().or(Some(value)),
            Err(unfit) => self.unfit = Some(unfit),
        }
    }

    fn or_missing(self, structure: &'static str) -> Result<T, PciFault> {
        let unfit = self.unfit;
        self.usable.ok_or(PciFault::Missing { structure, unfit })
    }
}

/// What a walk through the capabilities finds.
#[derive(Default)]
struct Found {
    common: Search<Window>,
    notify: Search<(Window, u32)>,
    device: Search<Window>,
    msix: Vec<Window>,
    /// Virtio capabilities, usable or not.
    seen: usize,
}

impl Found {
    fn walk(config: &[u8], bar_len: &[u64]) -> Result<Self, PciFault> {
        let mut found = Self::default();
        let status = u16_at(config, header::STATUS).ok_or(PciFault::Truncated)?;
        if status & header::STATUS_CAPABILITIES == 0 {
            return Ok(found);
        }
        let mut at = pointer(config, header::CAPABILITIES)?;
        for _ in 0..MAX_CAPABILITIES {
            if at == 0 {
                return Ok(found);
            }
            let capability = config.get(at..).ok_or(PciFault::Truncated)?;
            found.take(capability, config, bar_len);
            at = pointer(config, at + cap::NEXT)?;
        }
        if at == 0 {
            Ok(found)
        } else {
            Err(PciFault::EndlessList)
        }
    }

    fn take(&mut self, capability: &[u8], config: &[u8], bar_len: &[u64]) {
        let bars = Bars { config, bar_len };
        match capability.first() {
            Some(&cap::VENDOR_SPECIFIC) => self.take_virtio(capability, bars),
            Some(&CAP_MSIX) => self.msix.extend(msix_windows(capability)),
            _ => {}
        }
    }

    fn take_virtio(&mut self, capability: &[u8], bars: Bars<'_>) {
        self.seen += 1;
        match capability.get(cap::CFG_TYPE) {
            Some(&cap::COMMON_CFG) => self.common.offer(bars.window(capability, common::SIZE, 4)),
            Some(&cap::NOTIFY_CFG) => self.notify.offer(bars.notify(capability)),
            Some(&cap::DEVICE_CFG) => self.device.offer(bars.window(capability, 1, 4)),
            _ => {}
        }
    }
}

/// The BARs: what the header says of their kind, and how long each really is.
#[derive(Clone, Copy)]
struct Bars<'a> {
    config: &'a [u8],
    bar_len: &'a [u64],
}

impl Bars<'_> {
    /// The window that `capability` describes, at least `min_len` bytes and aligned.
    fn window(&self, capability: &[u8], min_len: usize, align: u64) -> Result<Window, Unfit> {
        let fields = checked_capability(capability, cap::SIZE)?;
        let bar = fields[cap::BAR];
        let window = Window {
            bar,
            offset: u64::from(u32_at(fields, cap::OFFSET).ok_or(Unfit::CutOff)?),
            len: u64::from(u32_at(fields, cap::LENGTH).ok_or(Unfit::CutOff)?),
        };
        let limit = self.memory_len(bar)?;
        if window.end() > limit {
            return Err(Unfit::OutsideBar { window, limit });
        }
        if window.len < min_len as u64 {
            return Err(Unfit::TooSmall { window, min_len });
        }
        if !window.offset.is_multiple_of(align) {
            return Err(Unfit::Misaligned { window, align });
        }
        Ok(window)
    }

    fn notify(&self, capability: &[u8]) -> Result<(Window, u32), Unfit> {
        let window = self.window(capability, DOORBELL_LEN as usize, DOORBELL_LEN)?;
        let fields = checked_capability(capability, cap::NOTIFY_OFF_MULTIPLIER + 4)?;
        let multiplier = u32_at(fields, cap::NOTIFY_OFF_MULTIPLIER).ok_or(Unfit::CutOff)?;
        let even_power_of_two = multiplier.is_power_of_two() && multiplier != 1;
        if multiplier != 0 && !even_power_of_two {
            return Err(Unfit::Multiplier(multiplier));
        }
        Ok((window, multiplier))
    }

    /// The size of a memory BAR. The upper half of a 64-bit BAR has none.
    fn memory_len(&self, bar: u8) -> Result<u64, Unfit> {
        let index = usize::from(bar);
        let len = *self.bar_len.get(index).ok_or(Unfit::ReservedBar(bar))?;
        let low = u32_at(self.config, header::BARS + 4 * index).ok_or(Unfit::CutOff)?;
        if len == 0 {
            return Err(Unfit::AbsentBar(bar));
        }
        if low & 1 == 1 {
            return Err(Unfit::IoBar(bar));
        }
        Ok(len)
    }
}

/// The first `need` bytes of a capability that says it has at least as many.
fn checked_capability(capability: &[u8], need: usize) -> Result<&[u8], Unfit> {
    let fields = capability.get(..need).ok_or(Unfit::CutOff)?;
    let cap_len = fields[cap::LEN];
    if usize::from(cap_len) < need {
        return Err(Unfit::CapLen { cap_len, need });
    }
    Ok(fields)
}

/// MSI-X table and pending bit array. They need not lie inside their BAR: nothing reads them.
fn msix_windows(capability: &[u8]) -> Vec<Window> {
    let vectors = u64::from(u16_at(capability, 2).unwrap_or(0) & 0x7ff) + 1;
    let window = |at, len| {
        let word = u32_at(capability, at)?;
        Some(Window {
            bar: (word & 7) as u8,
            offset: u64::from(word & !7),
            len,
        })
    };
    let table = window(4, vectors * 16);
    let pending = window(8, vectors.div_ceil(64) * 8);
    table.into_iter().chain(pending).collect()
}

/// A pointer to a capability; 0 ends the list. The two lowest bits are reserved.
fn pointer(config: &[u8], at: usize) -> Result<usize, PciFault> {
    let pointer = *config.get(at).ok_or(PciFault::Truncated)? & !3;
    if pointer != 0 && usize::from(pointer) < FIRST_CAPABILITY {
        return Err(PciFault::IntoHeader { pointer });
    }
    Ok(pointer.into())
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

mod fault;
pub(super) use fault::{DoorbellFault, PciFault, Unfit};

#[cfg(test)]
mod tests;
