//! § *Control Virtqueue*, device side.

use super::check::Violations;
use crate::net::FeatureSet;
use crate::spec::net::ctrl;
use crate::spec::net::feature::*;

/// What the driver has told the device over the control queue. A reset clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    /// Everything is to be received.
    pub promiscuous: bool,
    /// All multicast is to be received.
    pub all_multicast: bool,
    /// The unicast table.
    pub unicast: Vec<[u8; 6]>,
    /// The multicast table.
    pub multicast: Vec<[u8; 6]>,
    /// The address, if the driver has set one.
    pub mac: Option<[u8; 6]>,
}

impl ControlState {
    /// Carries out `command` (class, command, data) and returns the acknowledgement.
    pub(super) fn execute(
        &mut self,
        command: &[u8],
        accepted: FeatureSet,
        violations: &mut Violations,
    ) -> u8 {
        let done = match command {
            [ctrl::CLASS_RX, mode, data @ ..] if accepted.has(VIRTIO_NET_F_CTRL_RX) => {
                self.set_mode(*mode, data)
            }
            [ctrl::CLASS_MAC, ctrl::MAC_TABLE_SET, data @ ..]
                if accepted.has(VIRTIO_NET_F_CTRL_RX) =>
            {
                self.set_tables(data)
            }
            [ctrl::CLASS_MAC, ctrl::MAC_ADDR_SET, data @ ..]
                if accepted.has(VIRTIO_NET_F_CTRL_MAC_ADDR) =>
            {
                self.set_mac(data)
            }
            _ => None,
        };
        violations.check(done.is_none(), "Control Virtqueue", || {
            format!("command {command:02x?} is malformed or was not negotiated")
        });
        if done.is_some() {
            ctrl::ACK_OK
        } else {
            ctrl::ACK_ERR
        }
    }

    fn set_mode(&mut self, mode: u8, data: &[u8]) -> Option<()> {
        let &[on @ (0 | 1)] = data else { return None };
        match mode {
            ctrl::RX_PROMISC => self.promiscuous = on == 1,
            ctrl::RX_ALLMULTI => self.all_multicast = on == 1,
            _ => return None,
        }
        Some(())
    }

    fn set_tables(&mut self, data: &[u8]) -> Option<()> {
        let (unicast, rest) = table(data)?;
        let (multicast, rest) = table(rest)?;
        if !rest.is_empty() || multicast.iter().any(|mac| mac[0] & 1 == 0) {
            return None;
        }
        (self.unicast, self.multicast) = (unicast, multicast);
        Some(())
    }

    fn set_mac(&mut self, data: &[u8]) -> Option<()> {
        self.mac = Some(data.try_into().ok()?);
        Some(())
    }

    /// Whether a frame passes the filters of a device whose address is `mac`.
    pub(super) fn passes(&self, frame: &[u8], mac: [u8; 6]) -> bool {
        let Some(destination) = frame.first_chunk::<6>() else {
            return true;
        };
        let own = *destination == self.mac.unwrap_or(mac);
        let multicast = destination[0] & 1 == 1;
        let listed = self.unicast.contains(destination) || self.multicast.contains(destination);
        self.promiscuous
            || own
            || *destination == [0xff; 6]
            || listed
            || (multicast && self.all_multicast)
    }
}

/// A `virtio_net_ctrl_mac`: a count and as many addresses; what stands behind it too.
fn table(data: &[u8]) -> Option<(Vec<[u8; 6]>, &[u8])> {
    let (count, rest) = data.split_first_chunk::<4>()?;
    let bytes = (u32::from_le_bytes(*count) as usize).checked_mul(6)?;
    let (entries, rest) = rest.split_at_checked(bytes)?;
    Some((entries.as_chunks::<6>().0.to_vec(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: FeatureSet = FeatureSet::of(&[VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_MAC_ADDR]);

    fn run(state: &mut ControlState, accepted: FeatureSet, command: &[u8]) -> (u8, usize) {
        let mut violations = Violations::default();
        let ack = state.execute(command, accepted, &mut violations);
        (ack, violations.kept().len())
    }

    #[test]
    fn tables_are_taken_whole_or_not_at_all() {
        let mut state = ControlState::default();
        let good = [
            1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1,
        ];
        assert_eq!(run(&mut state, ALL, &good), (ctrl::ACK_OK, 0));
        assert_eq!(state.unicast, [[2, 0, 0, 0, 0, 1]]);
        assert_eq!(state.multicast, [[0x33, 0x33, 0, 0, 0, 1]]);
        for short in 2..good.len() {
            assert_eq!(
                run(&mut state, ALL, &good[..short]),
                (ctrl::ACK_ERR, 1),
                "{short} bytes"
            );
        }
        let unicast_as_multicast = [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1];
        assert_eq!(run(&mut state, ALL, &unicast_as_multicast).0, ctrl::ACK_ERR);
    }

    #[test]
    fn commands_need_their_feature() {
        let mut state = ControlState::default();
        let no = FeatureSet::EMPTY;
        for command in [
            &[0, 0, 1][..],
            &[0, 1, 1],
            &[1, 1, 2, 0, 0, 0, 0, 1],
            &[9, 9],
        ] {
            assert_eq!(run(&mut state, no, command), (ctrl::ACK_ERR, 1));
        }
        assert_eq!(state, ControlState::default());
        assert_eq!(run(&mut state, ALL, &[0, 0, 1]), (ctrl::ACK_OK, 0));
        assert!(state.promiscuous);
        assert_eq!(
            run(&mut state, ALL, &[0, 0, 2]).0,
            ctrl::ACK_ERR,
            "neither on nor off"
        );
    }

    #[test]
    fn filters_pass_what_was_asked_for() {
        let (own, other) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let group = [0x33, 0x33, 0, 0, 0, 1];
        let mut state = ControlState::default();
        let passes = |state: &ControlState| {
            [own, [0xff; 6], other, group].map(|mac| state.passes(&mac, own))
        };
        assert_eq!(passes(&state), [true, true, false, false]);
        state.all_multicast = true;
        assert_eq!(passes(&state), [true, true, false, true]);
        state.promiscuous = true;
        assert_eq!(passes(&state), [true; 4]);
        let listed = ControlState {
            unicast: vec![other],
            multicast: vec![group],
            ..Default::default()
        };
        assert_eq!(passes(&listed), [true; 4]);
        let moved = ControlState {
            mac: Some(other),
            ..Default::default()
        };
        assert_eq!(passes(&moved), [false, true, true, false]);
    }
}
