//! A client's section of the configuration file, as the client reads it.
//!
//! ```text
//! [client.NAME]             every device and adapter of the client
//! [[client.NAME.device]]    its first device, then its second ..  over the section above
//! [[client.NAME.adapter]]   its first adapter, then its second .. over those of its device
//! ```

use std::sync::Arc;

use netadapter_shim::door::client_host::ConfigurationScope;
use netadapter_shim::door::configuration_store::{
    ConfigurationStore, ConfigurationTable, ConfigurationValue,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

const DEVICE: &str = "device";
const ADAPTER: &str = "adapter";

/// What one client is configured with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientSection {
    base: Table,
    devices: Vec<Table>,
    adapters: Vec<Table>,
}

/// A value that no client could read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    /// Its key, with the tables it lies in.
    pub key: String,
    /// What stands there.
    pub value: String,
    /// What may stand there.
    pub allowed: &'static str,
}

const VALUES: &str = "a number from 0 to 4294967295, true or false, text, a list of texts, \
                      a list of bytes, or a table of these";
const SECTIONS: &str =
    "a list of tables, written [[client.NAME.device]] or [[client.NAME.adapter]]";

impl ClientSection {
    /// Takes a section apart and checks every value in it.
    ///
    /// # Errors
    /// The first value that no client could read.
    pub fn parse(mut section: Table) -> Result<Self, BadValue> {
        let devices = tables(&mut section, DEVICE)?;
        let adapters = tables(&mut section, ADAPTER)?;
        check("", &section)?;
        for (name, list) in [(DEVICE, &devices), (ADAPTER, &adapters)] {
            for (index, table) in list.iter().enumerate() {
                check(&format!("{name}[{index}]."), table)?;
            }
        }
        Ok(Self {
            base: section,
            devices,
            adapters,
        })
    }

    /// How many devices the section describes.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    fn device(&self, device: usize) -> Arc<dyn ConfigurationStore> {
        over(table(&self.base), self.devices.get(device))
    }
}

/// The stores that a client opens, each made once, so that what is written stays.
pub(crate) struct Stores {
    driver: Arc<dyn ConfigurationStore>,
    section: ClientSection,
    made: std::sync::Mutex<Vec<(ConfigurationScope, Arc<dyn ConfigurationStore>)>>,
}

impl Stores {
    pub(crate) fn new(section: ClientSection) -> Self {
        Self {
            driver: Arc::new(table(&section.base)),
            section,
            made: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn open(&self, scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        if scope == ConfigurationScope::Driver {
            return Arc::clone(&self.driver);
        }
        let mut made = self.made.lock().unwrap_or_else(|held| held.into_inner());
        if let Some((_, store)) = made.iter().find(|(known, _)| *known == scope) {
            return Arc::clone(store);
        }
        let store = match scope {
            ConfigurationScope::Driver => Arc::clone(&self.driver),
            ConfigurationScope::Device(device) => self.section.device(device),
            ConfigurationScope::Adapter { device, adapter } => {
                let below = ConfigurationTable::over(self.section.device(device));
                over(below, self.section.adapters.get(adapter))
            }
        };
        made.push((scope, Arc::clone(&store)));
        store
    }
}

/// Takes the list of tables of that name out of a section.
fn tables(section: &mut Table, name: &str) -> Result<Vec<Table>, BadValue> {
    let bad = |value: &Value| BadValue {
        key: name.to_owned(),
        value: shown(value),
        allowed: SECTIONS,
    };
    let list = match section.remove(name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(bad(&other)),
    };
    let each = list.into_iter().map(|value| match value {
        Value::Table(table) => Ok(table),
        other => Err(bad(&other)),
    });
    each.collect()
}

/// A value for a message; one with parts by its kind alone.
fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => format!("(a value of type {})", other.type_str()),
    }
}

fn check(path: &str, section: &Table) -> Result<(), BadValue> {
    for (name, value) in section {
        match value {
            Value::Table(inner) => check(&format!("{path}{name}."), inner)?,
            plain if read(plain).is_some() => {}
            other => {
                return Err(BadValue {
                    key: format!("{path}{name}"),
                    value: shown(other),
                    allowed: VALUES,
                });
            }
        }
    }
    Ok(())
}

fn read(value: &Value) -> Option<ConfigurationValue> {
    Some(match value {
        Value::Integer(number) => ConfigurationValue::Ulong(u32::try_from(*number).ok()?),
        Value::Boolean(flag) => ConfigurationValue::Ulong(u32::from(*flag)),
        Value::String(text) => ConfigurationValue::String(text.clone()),
        Value::Array(list) if list.iter().all(Value::is_str) => {
            let texts = list.iter().filter_map(Value::as_str);
            ConfigurationValue::MultiString(texts.map(str::to_owned).collect())
        }
        Value::Array(list) => {
            let byte = |value: &Value| u8::try_from(value.as_integer()?).ok();
            ConfigurationValue::Binary(list.iter().map(byte).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A table over another one, if there is something to lay over it.
fn over(below: ConfigurationTable, above: Option<&Table>) -> Arc<dyn ConfigurationStore> {
    let below: Arc<dyn ConfigurationStore> = Arc::new(below);
    match above {
        Some(above) => Arc::new(fill(ConfigurationTable::over(below), above)),
        None => below,
    }
}

fn table(section: &Table) -> ConfigurationTable {
    fill(ConfigurationTable::default(), section)
}

fn fill(empty: ConfigurationTable, section: &Table) -> ConfigurationTable {
    section
        .iter()
        .fold(empty, |store, (name, value)| match value {
            Value::Table(inner) => store.with_table(name, Arc::new(table(inner))),
            plain => match read(plain) {
                Some(value) => store.with(name, value),
                None => store,
            },
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConfigurationValue::{Binary, MultiString, String as Text, Ulong};

    fn parse(text: &str) -> Result<ClientSection, BadValue> {
        ClientSection::parse(text.parse().unwrap())
    }

    fn texts(texts: &[&str]) -> ConfigurationValue {
        MultiString(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn every_kind_of_value_reaches_the_client() {
        let section = parse(
            "Ring = 0x200\nOn = true\nName = 'a'\nHex = '0x1F'\nList = ['x', 'y']\n\
             Bytes = [1, 255]\nNone = []\n[Inner]\nDepth = 2\n[Inner.Deeper]\nDepth = 3",
        );
        let store = Stores::new(section.unwrap()).open(ConfigurationScope::Device(0));
        assert_eq!(store.get("ring"), Some(Ulong(0x200)));
        assert_eq!(store.get("On"), Some(Ulong(1)));
        assert_eq!(store.get("Name"), Some(Text("a".to_owned())));
        assert_eq!(store.get("Hex"), Some(Text("0x1F".to_owned())));
        assert_eq!(store.get("List"), Some(texts(&["x", "y"])));
        assert_eq!(store.get("None"), Some(texts(&[])));
        assert_eq!(store.get("Bytes"), Some(Binary(vec![1, 255])));
        let deeper = store.table("Inner").unwrap().table("deeper").unwrap();
        assert_eq!(deeper.get("Depth"), Some(Ulong(3)));
    }

    #[test]
    fn values_that_no_client_could_read_are_named() {
        for (text, key) in [
            ("A = -1", "A"),
            ("A = 4294967296", "A"),
            ("[In]\nA = 1.5", "In.A"),
            ("A = [1, 'x']", "A"),
            ("A = [256]", "A"),
            ("device = 3", "device"),
            ("adapter = [3]", "adapter"),
            ("[[adapter]]\n[[adapter]]\nA = 1979-05-27", "adapter[1].A"),
        ] {
            assert_eq!(parse(text).unwrap_err().key, key, "{text}");
        }
    }

    #[test]
    fn adapters_come_before_devices_and_these_before_all() {
        let section = parse(
            "Speed = 1\nName = 'all'\n[[device]]\n[[device]]\nSpeed = 2\nPort = 2\n\
             [[adapter]]\n[[adapter]]\nSpeed = 3",
        );
        let section = section.unwrap();
        assert_eq!(section.devices(), 2);
        let stores = Stores::new(section);
        let speed = |scope| stores.open(scope).get("Speed");
        let adapter = |device, adapter| ConfigurationScope::Adapter { device, adapter };
        assert_eq!(speed(ConfigurationScope::Driver), Some(Ulong(1)));
        assert_eq!(speed(ConfigurationScope::Device(0)), Some(Ulong(1)));
        assert_eq!(speed(ConfigurationScope::Device(1)), Some(Ulong(2)));
        assert_eq!(speed(ConfigurationScope::Device(9)), Some(Ulong(1)));
        assert_eq!(speed(adapter(1, 1)), Some(Ulong(3)));
        let second = stores.open(adapter(1, 1));
        assert_eq!(second.get("port"), Some(Ulong(2)));
        assert_eq!(second.get("name"), Some(Text("all".to_owned())));
    }

    #[test]
    fn what_a_client_writes_it_reads_when_it_opens_again() {
        let stores = Stores::new(parse("A = 1").unwrap());
        let device = ConfigurationScope::Device(0);
        stores.open(device).set("A", Ulong(2));
        assert_eq!(stores.open(device).get("A"), Some(Ulong(2)));
        let other = stores.open(ConfigurationScope::Device(1));
        assert_eq!(other.get("A"), Some(Ulong(1)));
    }
}
