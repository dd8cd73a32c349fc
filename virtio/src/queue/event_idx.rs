//! § *Available Buffer Notification Suppression*, § *Used Buffer Notification Suppression*.

/// Whether moving a free-running index from `old` to `new` passes `event`, so that the other
/// side wants to be told. All three wrap at 16 bits.
#[inline]
pub(super) fn passes(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::passes;

    /// The definition in words: one of the steps old, old+1 .. new-1 was made with the index
    /// standing at `event`.
    fn passes_by_counting(event: u16, new: u16, old: u16) -> bool {
        let steps = new.wrapping_sub(old);
        (0..steps).any(|step| old.wrapping_add(step) == event)
    }

    #[test]
    fn every_event_near_every_short_move_agrees_with_counting() {
        for old in 0..=u16::MAX {
            for steps in 0..5u16 {
                let new = old.wrapping_add(steps);
                for near in 0..10u16 {
                    let event = old.wrapping_sub(3).wrapping_add(near);
                    assert_eq!(
                        passes(event, new, old),
                        passes_by_counting(event, new, old),
                        "event {event} new {new} old {old}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_event_and_every_length_of_move_agrees_with_the_distance() {
        // The formula only knows differences, so one starting point per residue class of
        // interest and all 2^32 pairs (event, steps) by distance would do; a stride keeps
        // it short while all events and all lengths occur.
        for old in [0u16, 1, 0x7fff, 0x8000, 0xfffe, 0xffff] {
            for steps in (0..=u16::MAX).step_by(251) {
                let new = old.wrapping_add(steps);
                for event in 0..=u16::MAX {
                    let distance = event.wrapping_sub(old);
                    assert_eq!(passes(event, new, old), distance < steps);
                }
            }
        }
    }
}
