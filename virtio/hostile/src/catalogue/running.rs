//! Lies of a device that runs: answers to commands, changes, and the device as a whole.

use super::{lie, withhold};
use crate::Outcome::*;
use crate::{Act, Answer, Layer, Lie, Registers, Role};
use virtio::spec::feature::*;
use virtio::spec::net::ctrl::ACK_ERR;
use virtio::spec::net::feature::*;

const CONTROL: &str = "Control Virtqueue";
const CONFIG: &str = "Device configuration layout";
const INCOMING: &str = "Processing of Incoming Packets";

pub(super) const LIES: &[Lie] = &[
    // Commands.
    lie(
        "ack-undefined",
        CONTROL,
        "an answer is OK or ERR",
        Fail,
        Layer::Control,
        Act::Answer(Answer::Byte(0x77)),
    ),
    lie(
        "ack-not-written",
        CONTROL,
        "an answer is written",
        Fail,
        Layer::Control,
        Act::Answer(Answer::Nothing),
    ),
    lie(
        "ack-always-error",
        CONTROL,
        "a valid command succeeds",
        Fail,
        Layer::Control,
        Act::Answer(Answer::Byte(ACK_ERR)),
    ),
    lie(
        "ack-never",
        CONTROL,
        "a command is answered",
        TimeOut,
        Layer::Control,
        Act::Answer(Answer::Never),
    ),
    // The device as a whole.
    lie(
        "reset-never-ends",
        "Device Reset",
        "status becomes 0",
        TimeOut,
        Layer::Start,
        Act::Registers(Registers::ResetNeverEnds),
    ),
    lie(
        "all-ones",
        "Device Status Field",
        "a device that is there has a status",
        Gone,
        Layer::Start,
        Act::Registers(Registers::AllOnes),
    ),
    lie(
        "needs-reset",
        "Device Status Field",
        "a device works",
        Reset,
        Layer::Driver,
        Act::DemandReset { always: false },
    ),
    lie(
        "needs-reset-for-ever",
        "Device Status Field",
        "a device works after a reset",
        GiveUp,
        Layer::Driver,
        Act::DemandReset { always: true },
    )
    // Otherwise the driver may notice first that commands are not answered.
    .made(|c| {
        withhold(
            c,
            &[
                VIRTIO_NET_F_CTRL_VQ,
                VIRTIO_NET_F_CTRL_RX,
                VIRTIO_NET_F_CTRL_MAC_ADDR,
            ],
        )
    }),
    lie(
        "transmit-stalls",
        "Packet Transmission",
        "a frame to be sent is used in the end",
        Reset,
        Layer::Driver,
        Act::Stall(Role::Transmit),
    ),
    lie(
        "receive-stalls",
        INCOMING,
        "a frame that arrived is given to the driver",
        Ignore,
        Layer::Driver,
        Act::Stall(Role::Receive),
    ),
    // What changes.
    lie(
        "features-change-at-reset",
        "Feature Bits",
        "a device offers the same after a reset",
        Refuse,
        Layer::Driver,
        Act::Reset(|c| {
            withhold(
                c,
                &[
                    VIRTIO_NET_F_MRG_RXBUF,
                    VIRTIO_F_EVENT_IDX,
                    VIRTIO_NET_F_HOST_TSO4,
                ],
            )
        }),
    ),
    lie(
        "max-pairs-change-at-reset",
        CONFIG,
        "max_virtqueue_pairs is the same after a reset, and the control queue where it was",
        Refuse,
        Layer::Driver,
        Act::Reset(|c| c.max_pairs = 3),
    ),
    lie(
        "max-pairs-change",
        CONFIG,
        "max_virtqueue_pairs does not change",
        Ignore,
        Layer::Driver,
        Act::Change(|c| c.max_pairs = 0),
    ),
    lie(
        "mtu-changes",
        CONFIG,
        "mtu does not change",
        Ignore,
        Layer::Driver,
        Act::Change(|c| c.mtu = 100),
    ),
    lie(
        "mac-changes",
        CONFIG,
        "mac changes only by command",
        Ignore,
        Layer::Driver,
        Act::Change(|c| c.mac = [2, 2, 2, 2, 2, 2]),
    ),
];
