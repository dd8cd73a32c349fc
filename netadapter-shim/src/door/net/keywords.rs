//! The standard offload keywords in an adapter's configuration.

use super::adapter::AdapterObject;
use super::configuration::{adapter_table, numbers};
use crate::adapter::OffloadKeywords;

/// Reads them each time an adapter is started. As in the registry a number may
/// be stored as decimal text; what is neither counts as missing.
pub(super) fn read(adapter: &AdapterObject) -> OffloadKeywords {
    let Ok(table) = adapter_table("NetAdapterStart", adapter) else {
        return OffloadKeywords::default();
    };
    OffloadKeywords::read(|name| {
        let value = table.get(name)?;
        let number = numbers::ulong(&value, false).ok();
        if number.is_none() {
            log::warn!("adapter {}: {name} is no number: {value:?}", adapter.number);
        }
        number
    })
}
