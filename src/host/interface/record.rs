//! How a message of the kernel's stands in a state file.

use netlink_packet_core::{Emitable, Parseable};
use serde::{Deserialize, Serialize};

/// How addresses and routes stand in a state file: a line for people, the message for the kernel.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    text: String,
    netlink: String,
}

impl Record {
    pub(super) fn new(text: String, message: &impl Emitable) -> Self {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let netlink = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, netlink }
    }

    pub(super) fn message<M: Parseable<[u8]>>(&self) -> Result<M, String> {
        let bytes = unhex(&self.netlink).ok_or("not hexadecimal")?;
        M::parse(&bytes).map_err(|e| e.to_string())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}
