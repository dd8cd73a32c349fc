//! How the interfaces of a client are called.

use crate::host::IfName;
use crate::host::interface::Interfaces;

/// How interfaces are named: as wished, in the order in which adapters are created.
pub(super) struct Names(pub(super) Vec<IfName>);

impl Names {
    /// The name wished for this adapter, or the first of `umnet0`, `umnet1` .. that nobody has
    /// or wishes for.
    fn of(&self, adapter: usize, taken: &[String]) -> Option<IfName> {
        if let Some(name) = self.0.get(adapter) {
            return Some(name.clone());
        }
        let free = |name: &IfName| {
            let wished = self.0.contains(name);
            !wished && !taken.iter().any(|other| other == name.as_str())
        };
        (0..u32::MAX)
            .filter_map(|number| format!("umnet{number}").parse().ok())
            .find(free)
    }

    pub(super) fn choose(&self, adapter: usize) -> Result<IfName, String> {
        let links = Interfaces::open().and_then(|mut interfaces| interfaces.list());
        let links = links.map_err(|error| error.to_string())?;
        let taken: Vec<_> = links.into_iter().map(|link| link.name).collect();
        let name = self.of(adapter, &taken);
        name.ok_or_else(|| "no interface name is free".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wished_names_are_given_in_order_and_kept_from_the_others() {
        let wished = ["wire0", "umnet0"].map(|name| name.parse().unwrap());
        let names = Names(wished.to_vec());
        let taken = ["umnet1".to_owned()];
        let name = |adapter| names.of(adapter, &taken).unwrap().to_string();
        assert_eq!([name(0), name(1), name(2)], ["wire0", "umnet0", "umnet2"]);
    }
}
