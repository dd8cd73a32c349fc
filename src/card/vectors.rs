//! Which interrupts a card has for what.

use super::CardError;

/// That of the configuration.
pub(super) const CONFIG_VECTOR: u16 = 0;

/// Which interrupt each queue gets: their own where there are enough, else one a pair, else one
/// for all.
#[derive(Clone, Copy)]
pub(super) enum Vectors {
    ByQueue,
    ByPair,
    Shared(u16),
}

impl Vectors {
    pub(super) fn share(count: u16, pairs: u16) -> Result<Self, CardError> {
        match count {
            0 => Err(CardError::NoInterrupts),
            1 => Ok(Self::Shared(CONFIG_VECTOR)),
            _ if count > 2 * pairs => Ok(Self::ByQueue),
            _ if count > pairs => Ok(Self::ByPair),
            _ => Ok(Self::Shared(CONFIG_VECTOR + 1)),
        }
    }

    /// Those of a pair's receive and transmit queue.
    pub(super) fn of(self, pair: u16) -> (u16, u16) {
        match self {
            Self::ByQueue => (1 + 2 * pair, 2 + 2 * pair),
            Self::ByPair => (1 + pair, 1 + pair),
            Self::Shared(vector) => (vector, vector),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_share_interrupts_only_where_there_are_too_few() {
        let of = |count, pairs| {
            let vectors = Vectors::share(count, pairs).unwrap();
            (0..pairs).map(|pair| vectors.of(pair)).collect::<Vec<_>>()
        };
        assert_eq!(of(5, 2), [(1, 2), (3, 4)]);
        assert_eq!(of(4, 2), [(1, 1), (2, 2)]);
        assert_eq!(of(3, 2), [(1, 1), (2, 2)]);
        assert_eq!(of(2, 2), [(1, 1), (1, 1)]);
        assert_eq!(of(1, 2), [(0, 0), (0, 0)]);
        assert_eq!(of(3, 1), [(1, 2)]);
        assert!(Vectors::share(0, 1).is_err());
    }
}
