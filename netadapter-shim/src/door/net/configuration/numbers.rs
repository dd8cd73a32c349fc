//! Numbers and addresses as the registry stores them: as such, or as text.

use crate::abi::{NetAdapterLinkLayerAddress, NtStatus};
use crate::door::configuration_store::ConfigurationValue as Value;

/// A number, or text that is one: decimal, or hexadecimal if `hex`.
pub(in crate::door::net) fn ulong(value: &Value, hex: bool) -> Result<u32, NtStatus> {
    let text = match value {
        Value::Ulong(number) => return Ok(*number),
        Value::String(text) => text.trim(),
        _ => return Err(NtStatus::OBJECT_TYPE_MISMATCH),
    };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let parsed = match hex {
        true => u32::from_str_radix(digits.unwrap_or(text), 16),
        false => text.parse(),
    };
    parsed.map_err(|_| NtStatus::INVALID_PARAMETER)
}

/// An address: bytes, or text of pairs of hex digits with or without `:` and
/// `-` between them.
pub(super) fn address(value: &Value) -> Result<NetAdapterLinkLayerAddress, NtStatus> {
    let bytes = match value {
        Value::Binary(bytes) => bytes.clone(),
        Value::String(text) => pairs(text).ok_or(NtStatus::INVALID_PARAMETER)?,
        _ => return Err(NtStatus::OBJECT_TYPE_MISMATCH),
    };
    let mut address = NetAdapterLinkLayerAddress::default();
    let room = address.address.get_mut(..bytes.len());
    room.ok_or(NtStatus::BUFFER_OVERFLOW)?
        .copy_from_slice(&bytes);
    address.length = bytes.len() as u16;
    Ok(address)
}

fn pairs(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !matches!(c, ':' | '-'));
    let digits: Option<Vec<u32>> = digits.map(|c| c.to_digit(16)).collect();
    let digits = digits?;
    let (pairs, odd) = digits.as_chunks::<2>();
    let whole = odd.is_empty() && !pairs.is_empty();
    whole.then(|| {
        pairs
            .iter()
            .map(|[high, low]| (high << 4 | low) as u8)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn text_is_decimal_unless_hex_is_asked_for() {
        assert_eq!(ulong(&Value::Ulong(7), true), Ok(7));
        assert_eq!(ulong(&text("10"), false), Ok(10));
        assert_eq!(ulong(&text("10"), true), Ok(16));
        assert_eq!(ulong(&text("0xFF"), true), Ok(255));
        assert_eq!(ulong(&text("ff"), false), Err(NtStatus::INVALID_PARAMETER));
        let binary = Value::Binary(vec![1]);
        assert_eq!(ulong(&binary, false), Err(NtStatus::OBJECT_TYPE_MISMATCH));
    }

    #[test]
    fn addresses_are_pairs_of_digits_up_to_32_bytes() {
        let mac = [2, 0, 0, 0, 0xa, 0xbc];
        for spelling in ["020000000ABC", "02-00-00-00-0a-bc", "02:00:00:00:0a:bc"] {
            assert_eq!(address(&text(spelling)).unwrap().bytes(), mac);
        }
        assert_eq!(address(&Value::Binary(mac.to_vec())).unwrap().bytes(), mac);
        assert_eq!(address(&text("020")), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(
            address(&text("02000000000g")),
            Err(NtStatus::INVALID_PARAMETER)
        );
        let long = "00".repeat(33);
        assert_eq!(address(&text(&long)), Err(NtStatus::BUFFER_OVERFLOW));
        assert_eq!(
            address(&Value::Ulong(1)),
            Err(NtStatus::OBJECT_TYPE_MISMATCH)
        );
    }
}
