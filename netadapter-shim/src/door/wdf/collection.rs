//! `WdfCollection*`: lists of objects, each of which they hold a reference to.

#![allow(non_snake_case)] // C's names

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::create::{Globals, create, status};
use crate::abi::NtStatus;
use crate::door::fail::{WdfFault, breach};
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::WdfObjectAttributes;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfCollectionCreate,
    WdfCollectionGetCount,
    WdfCollectionAdd,
    WdfCollectionRemove,
    WdfCollectionRemoveItem,
    WdfCollectionGetItem,
    WdfCollectionGetFirstItem,
    WdfCollectionGetLastItem,
];

/// What `WDFCOLLECTION` stands for.
#[derive(Default)]
pub(crate) struct Collection(Mutex<Vec<Handle>>);

impl Collection {
    fn list(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in it, in order.
    pub(crate) fn items(&self) -> Vec<Handle> {
        self.list().clone()
    }

    /// Puts an object at its end and holds a reference to it.
    pub(crate) fn add(&self, item: Handle) {
        object::reference(item);
        self.list().push(item);
    }

    /// Lets everything go.
    fn clear(&self) {
        let all = std::mem::take(&mut *self.list());
        all.into_iter().for_each(object::dereference);
    }
}

/// It may have been deleted by another thread while it was added to.
impl Drop for Collection {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The collection behind a handle, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE.
pub(crate) fn checked(call: &str, collection: Handle) -> Result<Arc<Collection>, NtStatus> {
    object::checked(call, collection, Kind::Collection)
}

extern "C" fn WdfCollectionCreate(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    collection: Out<'_, Handle>,
) -> NtStatus {
    let (call, kind) = ("WdfCollectionCreate", Kind::Collection);
    let made = Arc::<Collection>::default();
    let (wanted, payload) = ((attributes, Rules::PLAIN), Arc::clone(&made));
    let created = create(call, globals, kind, wanted, payload, collection);
    status(created.map(|handle| object::on_dispose(handle, Box::new(move || made.clear()))))
}

extern "C" fn WdfCollectionGetCount(_: Globals, collection: Handle) -> u32 {
    let found = checked("WdfCollectionGetCount", collection);
    found.map_or(0, |found| u32::try_from(found.list().len()).unwrap_or(0))
}

extern "C" fn WdfCollectionAdd(_: Globals, collection: Handle, item: Handle) -> NtStatus {
    let call = "WdfCollectionAdd";
    status((|| {
        let found = checked(call, collection)?;
        object::checked_kind(call, item)?;
        if !object::is_alive(collection) {
            return Err(NtStatus::DELETE_PENDING);
        }
        found.add(item);
        Ok(())
    })())
}

extern "C" fn WdfCollectionRemove(_: Globals, collection: Handle, item: Handle) {
    let call = "WdfCollectionRemove";
    let Ok(found) = checked(call, collection) else {
        return;
    };
    let position = found.list().iter().position(|other| *other == item);
    match position {
        Some(index) => remove(call, &found, index),
        None => {
            let text = format_args!("{call}: {item} is not in {collection}");
            breach(WdfFault::VerifierFatalError, text);
        }
    }
}

extern "C" fn WdfCollectionRemoveItem(_: Globals, collection: Handle, index: u32) {
    let call = "WdfCollectionRemoveItem";
    if let Ok(found) = checked(call, collection) {
        remove(call, &found, index as usize);
    }
}

fn remove(call: &str, collection: &Collection, index: usize) {
    let mut list = collection.list();
    let count = list.len();
    let removed = (index < count).then(|| list.remove(index));
    drop(list);
    match removed {
        Some(item) => object::dereference(item),
        None => {
            let text = format_args!("{call}: index {index}, but there are {count} items");
            breach(WdfFault::VerifierFatalError, text);
        }
    }
}

/// NULL beyond the end: clients count that way.
extern "C" fn WdfCollectionGetItem(_: Globals, collection: Handle, index: u32) -> Handle {
    let found = checked("WdfCollectionGetItem", collection).ok();
    let item = found.and_then(|found| found.list().get(index as usize).copied());
    item.unwrap_or(Handle::NULL)
}

extern "C" fn WdfCollectionGetFirstItem(_: Globals, collection: Handle) -> Handle {
    let found = checked("WdfCollectionGetFirstItem", collection).ok();
    let item = found.and_then(|found| found.list().first().copied());
    item.unwrap_or(Handle::NULL)
}

extern "C" fn WdfCollectionGetLastItem(_: Globals, collection: Handle) -> Handle {
    let found = checked("WdfCollectionGetLastItem", collection).ok();
    let item = found.and_then(|found| found.list().last().copied());
    item.unwrap_or(Handle::NULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::recorded;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    fn collection(client: &TestClient) -> Handle {
        client.create(|globals, out| WdfCollectionCreate(globals, In::NULL, out))
    }

    fn item() -> Handle {
        object::create(Kind::General, None, Arc::new(())).unwrap()
    }

    #[test]
    fn items_come_in_order_and_are_counted() {
        let client = TestClient::new();
        let list = collection(&client);
        assert!(WdfCollectionGetFirstItem(null(), list).is_null());
        let (first, second) = (item(), item());
        for item in [first, second, first] {
            assert_eq!(WdfCollectionAdd(null(), list, item), NtStatus::SUCCESS);
        }
        assert_eq!(WdfCollectionGetCount(null(), list), 3);
        assert_eq!(WdfCollectionGetFirstItem(null(), list), first);
        assert_eq!(WdfCollectionGetItem(null(), list, 1), second);
        assert_eq!(WdfCollectionGetLastItem(null(), list), first);
        assert!(WdfCollectionGetItem(null(), list, 3).is_null());
        WdfCollectionRemove(null(), list, first);
        WdfCollectionRemoveItem(null(), list, 1);
        assert_eq!(checked("test", list).unwrap().items(), [second]);
        assert!(recorded::take().is_empty());
    }

    #[test]
    fn a_deleted_collection_takes_nothing_and_lets_go_of_what_came_too_late() {
        let client = TestClient::new();
        let (list, late) = (collection(&client), item());
        object::reference(list);
        object::delete(list);
        let status = WdfCollectionAdd(null(), list, late);
        assert_eq!(status, NtStatus::DELETE_PENDING);
        checked("test", list).unwrap().add(late);
        object::delete(late);
        object::dereference(list);
        assert_eq!(object::kind(late), None);
    }

    #[test]
    fn an_item_lives_as_long_as_a_collection_has_it() {
        let client = TestClient::new();
        let (list, held) = (collection(&client), item());
        WdfCollectionAdd(null(), list, held);
        object::delete(held);
        assert_eq!(object::kind(held), Some(Kind::General));
        object::delete(list);
        assert_eq!(object::kind(held), None);
        assert!(recorded::take().is_empty());
    }

    #[test]
    fn removing_what_is_not_there_is_a_breach() {
        let client = TestClient::new();
        let list = collection(&client);
        WdfCollectionRemove(null(), list, Handle::NULL);
        recorded::take_one(WdfFault::VerifierFatalError);
        WdfCollectionRemoveItem(null(), list, 0);
        recorded::take_one(WdfFault::VerifierFatalError);
        let status = WdfCollectionAdd(null(), list, Handle::NULL);
        assert_eq!(status, NtStatus::INVALID_HANDLE);
        recorded::take_one(WdfFault::InvalidHandle);
    }
}
