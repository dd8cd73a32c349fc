//! Memory that the device shares with the driver.
//!
//! No Rust reference ever points into it: the device may write at any time. All access goes
//! through [`DmaSlice`], which copies bytes and loads or stores single words, or through a table of
//! equal elements in one, which does so without a check for each.

mod iova;
mod region;
mod table;

pub use iova::Iova;
pub use region::{DmaRegion, DmaSlice, OutOfRegion};
pub(crate) use table::DmaTable;
