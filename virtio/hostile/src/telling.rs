//! The lie that a device is telling, where the device asks how to behave.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::frames::{arp, segmented, tcp4};
use super::rings;
use super::{Act, Lie, Overwrite, Registers};
use virtio::net::VirtioNetHdr;
use virtio::transport::in_process::{
    Answer, Conduct, Delivery, DeviceConfig, Interrupts, RingView, Role,
};

/// What is being told, as the device and whoever has it lie share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Telling(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    resets: u32,
    act: Option<Act>,
    /// Frames to be given to the driver before those of the link.
    planted: VecDeque<Delivery>,
}

impl Telling {
    /// Begins to tell `lie`.
    pub(super) fn begin(&self, lie: &Lie) {
        let mut told = self.told();
        told.act = Some(lie.act);
        match lie.act {
            Act::Frames(frames) => told.planted.extend(frames()),
            Act::Used(Role::Receive, _) => {
                let frame = Delivery::new(VirtioNetHdr::default(), &arp(2));
                told.planted.push_back(frame);
            }
            Act::Flicker => {
                let frame = Delivery::new(segmented(), &tcp4(3900));
                told.planted.push_back(frame);
            }
            _ => {}
        }
    }

    /// How often the driver has reset the device.
    pub(super) fn resets(&self) -> u32 {
        self.told().resets
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Plain values are whole whoever panicked while holding them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn act(&self) -> Option<Act> {
        self.told().act
    }

    fn registers(&self, lie: Registers) -> bool {
        matches!(self.act(), Some(Act::Registers(told)) if told == lie)
    }
}

/// A reset ends most lies; these go on.
fn outlives_reset(act: &Act) -> bool {
    matches!(
        act,
        Act::Registers(_) | Act::Interrupts(Interrupts::Early) | Act::DemandReset { always: true }
    )
}

/// Long enough that a driver on another processor reads in between.
const FLICKERS: usize = 10_000;

impl Conduct for Telling {
    fn at_reset(&mut self, config: &mut DeviceConfig) {
        let mut told = self.told();
        told.resets += 1;
        told.planted.clear();
        if let Some(Act::Reset(change)) = told.act {
            change(config);
        }
        told.act = told.act.filter(outlives_reset);
    }

    fn is_there(&self) -> bool {
        !self.registers(Registers::AllOnes)
    }

    fn finishes_reset(&self) -> bool {
        !self.registers(Registers::ResetNeverEnds)
    }

    fn agrees_to_features(&self) -> bool {
        !self.registers(Registers::FeaturesRefused)
    }

    fn works_when_started(&self) -> bool {
        !matches!(self.act(), Some(Act::DemandReset { always: true }))
    }

    fn generation(&self, last: u8) -> u8 {
        match self.registers(Registers::GenerationMoves) {
            true => last.wrapping_add(1),
            false => last,
        }
    }

    fn grants_interrupts(&self) -> bool {
        !self.registers(Registers::InterruptsRefused)
    }

    fn interrupts(&self) -> Interrupts {
        match self.act() {
            Some(Act::Interrupts(told)) => told,
            _ => Interrupts::AsAsked,
        }
    }

    fn serves(&self, role: Role) -> bool {
        !matches!(self.act(), Some(Act::Stall(stalled)) if stalled == role)
    }

    fn answer(&self, ack: u8) -> Answer {
        match self.act() {
            Some(Act::Answer(answer)) => answer,
            _ => Answer::Byte(ack),
        }
    }

    fn plant(&mut self) -> Option<Delivery> {
        self.told().planted.pop_front()
    }

    fn taken(&mut self, ring: &RingView<'_>, id: u16) {
        if let Some(Act::Overwrite(what)) = self.act() {
            rings::overwrite(ring, what, id);
        }
    }

    fn used(&mut self, ring: &RingView<'_>, used: &[(u16, u32)]) -> Option<u16> {
        let mut told = self.told();
        match told.act {
            Some(Act::Overwrite(Overwrite::TransmitBuffers)) if ring.role == Role::Transmit => {
                rings::overwrite_buffers(ring, used);
                None
            }
            Some(Act::Overwrite(what)) => {
                rings::overwrite_at_use(ring, what);
                None
            }
            Some(Act::Used(role, tell)) if role == ring.role => {
                told.act = None;
                Some(rings::complete_falsely(ring, used, tell))
            }
            _ => None,
        }
    }

    fn handed_over(&mut self, memory: &GuestMemoryMmap, at: GuestAddress, raise: &mut dyn FnMut()) {
        if !matches!(self.act(), Some(Act::Flicker)) {
            return;
        }
        self.told().act = None;
        raise();
        let honest = VirtioNetHdr {
            num_buffers: 1,
            ..segmented()
        };
        let evil = VirtioNetHdr {
            gso_size: 0,
            csum_start: u16::MAX,
            ..honest
        };
        for header in [honest, evil].repeat(FLICKERS) {
            let _ = memory.write_slice(&header.to_bytes(), at);
        }
    }

    fn visited(&mut self, ring: &RingView<'_>) {
        match self.act() {
            Some(Act::Suppression {
                flags,
                behind,
                event_flags,
            }) => {
                rings::suppress(ring, flags, behind);
                rings::ask_for_doorbells(ring, 0, event_flags);
            }
            Some(Act::Overwrite(Overwrite::NextUsed)) => rings::write_ahead(ring),
            Some(Act::Event { word, flags }) => rings::ask_for_doorbells(ring, word, flags),
            _ => {}
        }
    }
}
