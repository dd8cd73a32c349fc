//! What is measured: a direction and a length of frame.

use std::fmt;
use std::str::FromStr;

/// Which way frames go, seen from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the system.
    Rx,
    /// From the system to the device.
    Tx,
}

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which way.
    pub direction: Direction,
    /// Bytes of each frame.
    pub len: usize,
}

const fn case(direction: Direction, len: usize) -> Case {
    Case { direction, len }
}

/// All kinds of traffic, in the order in which they are shown.
pub const ALL: [Case; 6] = [
    case(Direction::Rx, 64),
    case(Direction::Rx, 1518),
    case(Direction::Rx, 65_536),
    case(Direction::Tx, 64),
    case(Direction::Tx, 1518),
    case(Direction::Tx, 65_536),
];

impl Case {
    /// What people are told, such as "1518 B received".
    pub fn label(self) -> String {
        let size = match self.len {
            len if len.is_multiple_of(1024) => format!("{} KiB", len / 1024),
            len => format!("{len} B"),
        };
        match self.direction {
            Direction::Rx => format!("{size} received"),
            Direction::Tx => format!("{size} sent"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Rx => "rx",
            Direction::Tx => "tx",
        };
        write!(f, "{direction}-{}", self.len)
    }
}

/// There is no such kind of traffic.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no '{0}'; there are {all}", all = ALL.map(|case| case.to_string()).join(", "))]
pub struct NoSuchCase(String);

impl FromStr for Case {
    type Err = NoSuchCase;

    fn from_str(name: &str) -> Result<Self, NoSuchCase> {
        ALL.into_iter()
            .find(|case| case.to_string() == name)
            .ok_or_else(|| NoSuchCase(name.to_owned()))
    }
}
