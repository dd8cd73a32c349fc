//! Configured values in the registry's bytes, and back.

use crate::door::configuration_store::ConfigurationValue;

/// Text, with its terminator.
const REG_SZ: u32 = 1;
/// Bytes.
const REG_BINARY: u32 = 3;
/// A number.
pub(super) const REG_DWORD: u32 = 4;
/// Texts, each with its terminator, and one terminator more.
const REG_MULTI_SZ: u32 = 7;

/// A value's registry type and bytes.
pub(super) fn encode(value: &ConfigurationValue) -> (u32, Vec<u8>) {
    match value {
        ConfigurationValue::Ulong(number) => (REG_DWORD, number.to_le_bytes().to_vec()),
        ConfigurationValue::String(text) => (REG_SZ, wide(text)),
        ConfigurationValue::MultiString(texts) => {
            let all = texts.iter().flat_map(|text| wide(text));
            (REG_MULTI_SZ, all.chain([0, 0]).collect())
        }
        ConfigurationValue::Binary(bytes) => (REG_BINARY, bytes.clone()),
    }
}

fn wide(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}

/// The value of registry bytes; `None` if they are not of that type.
pub(super) fn decode(kind: u32, bytes: Vec<u8>) -> Option<ConfigurationValue> {
    match kind {
        REG_DWORD => {
            let number = bytes.try_into().ok()?;
            Some(ConfigurationValue::Ulong(u32::from_le_bytes(number)))
        }
        REG_SZ => {
            let texts = texts(&bytes)?;
            let first = texts.into_iter().next().unwrap_or_default();
            Some(ConfigurationValue::String(first))
        }
        REG_MULTI_SZ => {
            let texts = texts(&bytes)?.into_iter();
            let texts = texts.take_while(|text| !text.is_empty()).collect();
            Some(ConfigurationValue::MultiString(texts))
        }
        REG_BINARY => Some(ConfigurationValue::Binary(bytes)),
        _ => None,
    }
}

/// The texts between terminators.
fn texts(bytes: &[u8]) -> Option<Vec<String>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let texts = units.split(|unit| *unit == 0);
    Some(texts.map(String::from_utf16_lossy).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_way_there_and_back() {
        let values = [
            ConfigurationValue::Ulong(70_000),
            ConfigurationValue::String("grün".into()),
            ConfigurationValue::MultiString(vec!["a".into(), "bc".into()]),
            ConfigurationValue::Binary(vec![1, 2, 3]),
        ];
        for value in values {
            let (kind, bytes) = encode(&value);
            assert_eq!(decode(kind, bytes), Some(value));
        }
    }

    #[test]
    fn malformed_bytes_have_no_value() {
        assert_eq!(decode(REG_DWORD, vec![1, 2]), None);
        assert_eq!(decode(REG_SZ, vec![1]), None);
        assert_eq!(decode(99, vec![]), None);
    }
}
