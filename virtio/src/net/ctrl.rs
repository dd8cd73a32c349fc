//! § *Control Virtqueue*: commands to the device, one at a time.
//!
//! A command waits for the device's answer, with a deadline, so the control queue never
//! belongs on a thread that moves frames.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::mem::{DmaSlice, OutOfRegion};
use crate::net::{FeatureSet, RssConfig};
use crate::queue::{
    DeviceFault, Part, QueueSize, RingFeatures, RingLayout, SlotId, SlotLayout, Virtqueue,
};
use crate::spec::net::ctrl::*;
use crate::spec::net::feature::*;
use crate::transport::Doorbell;

/// Bytes of the longest command, its class and number included.
const MAX_COMMAND: usize = 1024;
const ACK_OFFSET: usize = MAX_COMMAND;
const STRIDE: usize = MAX_COMMAND + 64;
/// Neither `ACK_OK` nor `ACK_ERR`: shows whether the device answered at all.
const NO_ACK: u8 = 0xa5;
const POLL_INTERVAL: Duration = Duration::from_micros(100);

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CtrlError {
    /// The device said no.
    #[error("the device refused control command {class}/{command}")]
    Refused {
        /// Class of the command.
        class: u8,
        /// Number within the class.
        command: u8,
    },
    /// The answer is neither yes nor no.
    #[error("control command {class}/{command} was answered with {ack:#04x}")]
    BadAck {
        /// Class of the command.
        class: u8,
        /// Number within the class.
        command: u8,
        /// The answer.
        ack: u8,
    },
    /// No answer came. The device must be reset: it may still write to the command's memory.
    #[error("control command {class}/{command} was not answered within {waited:?}")]
    Timeout {
        /// Class of the command.
        class: u8,
        /// Number within the class.
        command: u8,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The device broke the protocol.
    #[error("control queue: {0}")]
    Fault(#[from] DeviceFault),
    /// The command does not fit.
    #[error("a control command of {len} bytes exceeds the limit of {MAX_COMMAND}")]
    TooLong {
        /// Its length.
        len: usize,
    },
}

/// When a notification is due that was put off (§ *Notifications Coalescing*): whichever limit is
/// reached first, and a limit of 0 puts nothing off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalescing {
    /// Most packets.
    pub max_packets: u32,
    /// Most microseconds.
    pub max_usecs: u32,
}

impl Coalescing {
    fn to_bytes(self) -> [u8; 8] {
        let (packets, usecs) = (self.max_packets.to_le_bytes(), self.max_usecs.to_le_bytes());
        std::array::from_fn(|i| if i < 4 { packets[i] } else { usecs[i - 4] })
    }
}

/// Receive offloads that can be switched on and off while the device runs.
pub const fn guest_offloads() -> FeatureSet {
    FeatureSet::of(&[
        VIRTIO_NET_F_GUEST_CSUM,
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_ECN,
        VIRTIO_NET_F_GUEST_UFO,
        VIRTIO_NET_F_GUEST_USO4,
        VIRTIO_NET_F_GUEST_USO6,
    ])
}

/// The control queue and the memory of its commands.
pub struct ControlQueue {
    queue: Virtqueue,
    doorbell: Option<Box<dyn Doorbell>>,
    memory: DmaSlice,
    timeout: Duration,
}

impl ControlQueue {
    /// Descriptors needed, and enough: one command of two descriptors is out at any time.
    pub const SIZE: u16 = 2;

    /// Bytes of DMA memory that the queue needs at `size`: ring and commands.
    pub fn memory_len(size: QueueSize, features: RingFeatures) -> usize {
        RingLayout::new(size, features).len + usize::from(size.get() / 2) * STRIDE
    }

    /// Lays the queue out in `memory`, zeroed and at least [`ControlQueue::memory_len`] bytes.
    ///
    /// # Errors
    /// [`OutOfRegion`] when the memory is too small.
    ///
    /// # Panics
    /// When `size` is below [`ControlQueue::SIZE`]: a bug of the caller, whom the device may
    /// have told of a shorter queue.
    pub fn new(
        memory: &DmaSlice,
        size: QueueSize,
        features: FeatureSet,
        timeout: Duration,
    ) -> Result<Self, OutOfRegion> {
        assert!(size.get() >= Self::SIZE, "no command fits into {size:?}");
        let ring_len = RingLayout::new(size, features.ring()).len;
        let ring = memory.slice(0, ring_len)?;
        let commands = memory.slice(ring_len, memory.len() - ring_len)?;
        let parts = [
            Part {
                offset: 0,
                len: MAX_COMMAND as u32,
                device_writes: false,
            },
            Part {
                offset: ACK_OFFSET,
                len: 1,
                device_writes: true,
            },
        ];
        let layout = SlotLayout {
            stride: STRIDE,
            parts: &parts,
        };
        let queue = Virtqueue::new(&ring, size, features.ring(), &commands, layout)?;
        Ok(Self {
            queue,
            doorbell: None,
            memory: commands,
            timeout,
        })
    }

    /// The queue, to be given to the device.
    pub fn queue(&self) -> &Virtqueue {
        &self.queue
    }

    /// Takes the doorbell that enabling the queue gave.
    pub fn connect(&mut self, doorbell: Box<dyn Doorbell>) {
        self.doorbell = Some(doorbell);
    }

    /// Whether to receive every frame.
    ///
    /// # Errors
    /// [`CtrlError`], as for all commands.
    pub fn set_promisc(&mut self, on: bool) -> Result<(), CtrlError> {
        self.command(CLASS_RX, RX_PROMISC, &[on.into()])
    }

    /// Whether to receive every multicast frame.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_allmulti(&mut self, on: bool) -> Result<(), CtrlError> {
        self.command(CLASS_RX, RX_ALLMULTI, &[on.into()])
    }

    /// Changes the address that the device receives for.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), CtrlError> {
        self.command(CLASS_MAC, MAC_ADDR_SET, &mac)
    }

    /// Sets the tables of further unicast and multicast addresses to receive for.
    ///
    /// # Errors
    /// [`CtrlError::TooLong`] beyond about 160 addresses; the caller then asks for all.
    pub fn set_mac_table(
        &mut self,
        unicast: &[[u8; 6]],
        multicast: &[[u8; 6]],
    ) -> Result<(), CtrlError> {
        let mut data = Vec::with_capacity(8 + 6 * (unicast.len() + multicast.len()));
        for table in [unicast, multicast] {
            data.extend((table.len() as u32).to_le_bytes());
            data.extend(table.iter().flatten());
        }
        self.command(CLASS_MAC, MAC_TABLE_SET, &data)
    }

    /// Sets how many queue pairs are in use; which of them a frame is received on follows what
    /// was sent last of the same flow (§ *Automatic receive steering in multiqueue mode*).
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_pairs(&mut self, pairs: u16) -> Result<(), CtrlError> {
        self.command(CLASS_MQ, MQ_VQ_PAIRS_SET, &pairs.to_le_bytes())
    }

    /// Has received frames spread by a hash (§ *Setting RSS parameters*), in place of the
    /// automatic steering.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_rss(&mut self, rss: &RssConfig) -> Result<(), CtrlError> {
        self.command(CLASS_MQ, MQ_RSS_CONFIG, &rss.to_bytes())
    }

    /// Has the frames of a VLAN received; with `VIRTIO_NET_F_CTRL_VLAN` no others that have a tag.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn add_vlan(&mut self, id: u16) -> Result<(), CtrlError> {
        self.command(CLASS_VLAN, VLAN_ADD, &id.to_le_bytes())
    }

    /// Has them received no longer.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn remove_vlan(&mut self, id: u16) -> Result<(), CtrlError> {
        self.command(CLASS_VLAN, VLAN_DEL, &id.to_le_bytes())
    }

    /// Tells the device that its peers were told (§ *Gratuitous Packet Sending*): it stops asking.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn acknowledge_announcement(&mut self) -> Result<(), CtrlError> {
        self.command(CLASS_ANNOUNCE, ANNOUNCE_ACK, &[])
    }

    /// Sets which receive offloads are on, of those agreed on; at first all are (§ *Offloads State
    /// Configuration*). They have the numbers of their features.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_guest_offloads(&mut self, on: FeatureSet) -> Result<(), CtrlError> {
        let mask = on.and(guest_offloads()).0 as u64;
        let data = mask.to_le_bytes();
        self.command(CLASS_GUEST_OFFLOADS, GUEST_OFFLOADS_SET, &data)
    }

    /// Sets how long notifications of all transmit queues may be put off.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_tx_coalescing(&mut self, limits: Coalescing) -> Result<(), CtrlError> {
        self.command(CLASS_NOTF_COAL, NOTF_COAL_TX_SET, &limits.to_bytes())
    }

    /// Sets how long notifications of all receive queues may be put off.
    ///
    /// # Errors
    /// [`CtrlError`].
    pub fn set_rx_coalescing(&mut self, limits: Coalescing) -> Result<(), CtrlError> {
        self.command(CLASS_NOTF_COAL, NOTF_COAL_RX_SET, &limits.to_bytes())
    }

    fn command(&mut self, class: u8, command: u8, data: &[u8]) -> Result<(), CtrlError> {
        let len = 2 + data.len();
        if len > MAX_COMMAND {
            return Err(CtrlError::TooLong { len });
        }
        if self.queue.is_outstanding(SLOT) {
            return Err(CtrlError::Timeout {
                class,
                command,
                waited: Duration::ZERO,
            });
        }
        self.memory.range(0, 2).copy_from(&[class, command]);
        self.memory.range(2, data.len()).copy_from(data);
        self.memory.range(ACK_OFFSET, 1).copy_from(&[NO_ACK]);
        self.queue.add_with_len(SLOT, len as u32);
        self.queue.publish();
        if let Some(doorbell) = &self.doorbell {
            self.queue.kick_if_needed(doorbell.as_ref());
        }
        self.wait(class, command)?;
        self.read_ack(class, command)
    }

    fn wait(&mut self, class: u8, command: u8) -> Result<(), CtrlError> {
        let start = Instant::now();
        while self.queue.pop_used()?.is_none() {
            let waited = start.elapsed();
            if waited >= self.timeout {
                return Err(CtrlError::Timeout {
                    class,
                    command,
                    waited,
                });
            }
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn read_ack(&self, class: u8, command: u8) -> Result<(), CtrlError> {
        let mut ack = [NO_ACK];
        self.memory.range(ACK_OFFSET, 1).copy_to(&mut ack);
        match ack[0] {
            ACK_OK => Ok(()),
            ACK_ERR => Err(CtrlError::Refused { class, command }),
            ack => Err(CtrlError::BadAck {
                class,
                command,
                ack,
            }),
        }
    }
}

/// One command is out at a time, always in the same slot.
const SLOT: SlotId = SlotId(0);
