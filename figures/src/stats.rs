//! The middle of a set of figures, and how far they lie apart.

use serde::{Deserialize, Serialize};

/// The middle value, or the mean of the two middle ones; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// Where the figures of one set lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many figures.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// A quarter of the figures are below.
    pub q1: f64,
    /// A quarter of the figures are above.
    pub q3: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// None of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self {
            count: sorted.len(),
            min: *sorted.first()?,
            q1: quantile(&sorted, 0.25)?,
            q3: quantile(&sorted, 0.75)?,
            max: *sorted.last()?,
        })
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Between neighbours, linearly (the method most statistics programs call type 7).
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let position = at * sorted.len().checked_sub(1)? as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn one_wild_figure_does_not_move_the_median() {
        assert_eq!(median(&[1.0, 1.1, 1.2, 1.3, 900.0]), Some(1.2));
    }

    #[test]
    fn spread_holds_ends_and_quartiles() {
        let spread = Spread::of(&[5.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        assert_eq!(
            spread,
            Spread {
                count: 5,
                min: 1.0,
                q1: 2.0,
                q3: 4.0,
                max: 5.0
            }
        );
        assert_eq!(Spread::of(&[1.0, 2.0]).unwrap().q1, 1.25);
        assert_eq!(Spread::of(&[]), None);
    }
}
