//! The copy: once from a device slot into a system buffer, once the other way.
//!
//! It is the price of a driver without DMA into system memory, and its shield: what has been
//! copied, the device can no longer change. Both sides are memory that others may write, so
//! no reference to either is ever formed.

use vm_memory::VolatileSlice;

/// Copies all of `slot`, which the device may write at any time, to the start of `buffer`;
/// false, with nothing copied, when it does not fit.
#[inline]
#[must_use]
pub fn slot_to_buffer(slot: &VolatileSlice<'_>, buffer: &VolatileSlice<'_>) -> bool {
    copy(slot, buffer)
}

/// Copies all of `buffer` to the start of `slot`; false, with nothing copied, when it does
/// not fit.
#[inline]
#[must_use]
pub fn buffer_to_slot(buffer: &VolatileSlice<'_>, slot: &VolatileSlice<'_>) -> bool {
    copy(buffer, slot)
}

#[inline]
fn copy(from: &VolatileSlice<'_>, to: &VolatileSlice<'_>) -> bool {
    let fits = from.len() <= to.len();
    if fits {
        from.copy_to_volatile_slice(*to);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_and_none_beside() {
        for len in (0..200).chain([1514, 4096, 65_550]) {
            let mut source: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x5a).collect();
            let mut target = vec![0u8; len + 8];
            let fits = slot_to_buffer(
                &VolatileSlice::from(&mut source[..]),
                &VolatileSlice::from(&mut target[..]),
            );
            assert!(fits);
            assert_eq!(target[..len], source[..]);
            assert_eq!(target[len..], [0; 8]);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_copied_in_part() {
        let (mut source, mut target) = ([1u8; 9], [0u8; 8]);
        let fits = buffer_to_slot(
            &VolatileSlice::from(&mut source[..]),
            &VolatileSlice::from(&mut target[..]),
        );
        assert!(!fits);
        assert_eq!(target, [0; 8]);
    }
}
