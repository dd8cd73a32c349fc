//! Callbacks that a client may name and that are never called here: each is
//! said once, so that nobody waits for them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Says of the callbacks that were given, and were not said before, that they are not called, and
/// why. Returns their names.
pub(super) fn say(
    why: &str,
    callbacks: impl IntoIterator<Item = (&'static str, bool)>,
) -> Vec<&'static str> {
    static SAID: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let given = callbacks.into_iter().filter(|(_, given)| *given);
    let new: Vec<_> = given
        .filter_map(|(name, _)| said.insert(name).then_some(name))
        .collect();
    if !new.is_empty() {
        log::warn!("{} will never be called: {why}", new.join(", "));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_callback_is_said_once_and_only_if_it_was_given() {
        let given = [("EvtFirst", true), ("EvtSecond", false)];
        assert_eq!(say("a test", given), ["EvtFirst"]);
        let again = [("EvtFirst", true), ("EvtSecond", true)];
        assert_eq!(say("a test", again), ["EvtSecond"]);
        assert!(say("a test", again).is_empty());
    }
}
