//! What stands behind a `NETCONFIGURATION`: named values in nested tables.
//!
//! Names are compared without regard to case, as in the registry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One configured value. Which of them answers which query is decided where queries are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigurationValue {
    /// A number.
    Ulong(u32),
    /// Text.
    String(String),
    /// Several texts.
    MultiString(Vec<String>),
    /// Bytes.
    Binary(Vec<u8>),
}

/// A table of values and of further tables.
pub trait ConfigurationStore: Send + Sync {
    /// The value of that name.
    fn get(&self, name: &str) -> Option<ConfigurationValue>;

    /// Writes a value; it lasts as long as the host.
    fn set(&self, name: &str, value: ConfigurationValue);

    /// The table of that name (`NetConfigurationOpenSubConfiguration`).
    fn table(&self, name: &str) -> Option<Arc<dyn ConfigurationStore>>;
}

/// A table in memory. What it does not say itself, the table below it says.
#[derive(Default)]
pub struct ConfigurationTable {
    values: Mutex<BTreeMap<String, ConfigurationValue>>,
    tables: BTreeMap<String, Arc<dyn ConfigurationStore>>,
    below: Option<Arc<dyn ConfigurationStore>>,
}

impl ConfigurationTable {
    /// An empty table over another one.
    #[must_use]
    pub fn over(below: Arc<dyn ConfigurationStore>) -> Self {
        Self {
            below: Some(below),
            ..Self::default()
        }
    }

    /// The same with a value.
    #[must_use]
    pub fn with(self, name: &str, value: ConfigurationValue) -> Self {
        self.set(name, value);
        self
    }

    /// The same with a table in it.
    #[must_use]
    pub fn with_table(mut self, name: &str, table: Arc<dyn ConfigurationStore>) -> Self {
        self.tables.insert(key(name), table);
        self
    }
}

fn key(name: &str) -> String {
    name.to_lowercase()
}

impl ConfigurationStore for ConfigurationTable {
    fn get(&self, name: &str) -> Option<ConfigurationValue> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let own = values.get(&key(name)).cloned();
        own.or_else(|| self.below.as_ref()?.get(name))
    }

    fn set(&self, name: &str, value: ConfigurationValue) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.insert(key(name), value);
    }

    fn table(&self, name: &str) -> Option<Arc<dyn ConfigurationStore>> {
        let own = self.tables.get(&key(name)).cloned();
        own.or_else(|| self.below.as_ref()?.table(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConfigurationValue::{String as Text, Ulong};

    #[test]
    fn names_are_found_in_any_case() {
        let table = ConfigurationTable::default().with("RxRing", Ulong(7));
        assert_eq!(table.get("rxRING"), Some(Ulong(7)));
        assert_eq!(table.get("RxRin"), None);
        table.set("RXRING", Ulong(8));
        assert_eq!(table.get("RxRing"), Some(Ulong(8)));
    }

    #[test]
    fn a_table_answers_before_the_one_below_it() {
        let inner = ConfigurationTable::default().with("Depth", Ulong(2));
        let below = ConfigurationTable::default()
            .with("Name", Text("all".to_owned()))
            .with("Speed", Ulong(10))
            .with_table("Inner", Arc::new(inner));
        let above = ConfigurationTable::over(Arc::new(below)).with("Speed", Ulong(25));
        assert_eq!(above.get("Speed"), Some(Ulong(25)));
        assert_eq!(above.get("Name"), Some(Text("all".to_owned())));
        let inner = above.table("INNER").map(|table| table.get("depth"));
        assert_eq!(inner, Some(Some(Ulong(2))));
    }
}
