//! The faults that the faulty example knows, read from its lists.

use std::fs;
use std::path::Path;

/// The sources of the client.
pub(crate) const FAULTY: [&str; 6] = [
    "netadapter-shim/examples/faulty/faulty.c",
    "netadapter-shim/examples/faulty/calls.c",
    "netadapter-shim/examples/faulty/capabilities.c",
    "netadapter-shim/examples/faulty/queues.c",
    "netadapter-shim/examples/faulty/rings.c",
    "netadapter-shim/examples/faulty/pace.c",
];

/// One fault: how it is called, and the moments at which it acts.
pub(crate) struct Fault {
    pub(crate) name: String,
    source: &'static str,
    moments: Vec<String>,
}

/// All of them, each once.
pub(crate) fn all() -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for source in FAULTY {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let text = fs::read_to_string(path).expect("the example");
        for (name, moment) in text.lines().filter_map(entry) {
            match faults.iter_mut().find(|fault| fault.name == name) {
                Some(fault) => fault.moments.push(moment),
                None => faults.push(Fault {
                    name,
                    source,
                    moments: vec![moment],
                }),
            }
        }
    }
    assert!(faults.len() > 100, "the lists are not read");
    faults
}

/// `    { "Name", AT_MOMENT, Function },`
fn entry(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("    { \"")?;
    let (name, rest) = rest.split_once("\", ")?;
    let (moment, _) = rest.split_once(',')?;
    Some((name.to_owned(), moment.to_owned()))
}

impl Fault {
    /// The code as the run prints it.
    pub(crate) fn code(&self) -> String {
        let name = self.name.split('/').next().unwrap_or_default();
        match name.starts_with("WDF_") {
            true => name.to_owned(),
            false => format!("FailureCode_{name}"),
        }
    }

    /// Some faults are answered with a status only.
    pub(crate) fn has_a_code(&self) -> bool {
        !self.name.starts_with('-')
    }

    /// It harms nobody: the run goes on, and the line is a warning.
    pub(crate) fn is_advice(&self) -> bool {
        ["ShimNotifyOutsideStart", "ShimLinkStateNeverSet"].contains(&self.name.as_str())
    }

    fn acts_at(&self, moment: &str) -> bool {
        self.moments.iter().any(|known| known == moment)
    }

    /// It spoils the rings or what lies in them.
    pub(crate) fn is_of_a_ring(&self) -> bool {
        self.source.ends_with("rings.c")
    }

    /// Which of the two queues it acts on.
    pub(crate) fn direction(&self) -> &'static str {
        match self
            .moments
            .iter()
            .any(|moment| moment.starts_with("AT_TX"))
        {
            true => "tx",
            false => "rx",
        }
    }

    /// It is seen only when something is sent.
    pub(crate) fn needs_frames(&self) -> bool {
        self.acts_at("AT_TX_ADVANCE")
    }

    /// It is seen only when the run is asked to end.
    pub(crate) fn acts_at_the_end(&self) -> bool {
        let at_the_end = ["AT_TX_CANCEL", "AT_RX_CANCEL", "AT_D0_EXIT"];
        self.is_advice() || at_the_end.iter().any(|moment| self.acts_at(moment))
    }
}
