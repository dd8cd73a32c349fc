//! What every measurement here needs, whatever it measures: the middle and the spread of a set
//! of figures, numbers as people read them, the pieces of a picture, the revision measured.
//!
//! It knows neither drivers nor guests, so that both the harness and the command can use it.

mod number;
mod revision;
mod stats;
pub mod svg;

pub use number::figure;
pub use revision::revision;
pub use stats::{Spread, median};
