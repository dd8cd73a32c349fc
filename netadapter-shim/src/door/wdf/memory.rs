//! `WdfMemory*`.

#![allow(unsafe_code)] // copies between buffers of the client
#![allow(non_snake_case)] // C's names

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::create::{Globals, create, required, status};
use crate::abi::NtStatus;
use crate::door::block::Block;
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Attributes, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::WdfObjectAttributes;

pub(crate) const FUNCTIONS: Functions = entries![
    WdfMemoryCreate,
    WdfMemoryCreatePreallocated,
    WdfMemoryGetBuffer,
    WdfMemoryAssignBuffer,
    WdfMemoryCopyToBuffer,
    WdfMemoryCopyFromBuffer,
];

/// What `WDFMEMORY` stands for.
pub(crate) struct Memory(Mutex<Buffer>);

/// Where the bytes are.
#[derive(Clone)]
pub(crate) struct Buffer {
    address: usize,
    length: usize,
    /// What keeps them alive; `None` if the client does.
    block: Option<Block>,
}

impl Buffer {
    /// Zeroed bytes of our own.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub(crate) fn owned(length: usize) -> Result<Self, NtStatus> {
        let block = Block::zeroed(length)?;
        Ok(Self {
            address: block.address().expose_provenance(),
            length,
            block: Some(block),
        })
    }

    /// A copy of those bytes.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self, NtStatus> {
        let buffer = Self::owned(bytes.len())?;
        // SAFETY: the block is new and has room for all of them.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.pointer().cast(), bytes.len());
        }
        Ok(buffer)
    }

    /// Bytes that the client keeps alive.
    fn foreign(address: *mut c_void, length: usize) -> Self {
        Self {
            address: address.expose_provenance(),
            length,
            block: None,
        }
    }

    /// Where it begins.
    pub(crate) fn pointer(&self) -> *mut c_void {
        std::ptr::with_exposed_provenance_mut(self.address)
    }

    /// Its bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// A copy of the first `length` bytes, as far as it has them. Only for
    /// memory of our own.
    pub(crate) fn to_vec(&self, length: usize) -> Vec<u8> {
        let length = match self.block {
            Some(_) => length.min(self.length),
            None => 0,
        };
        let mut copy = vec![0u8; length];
        // SAFETY: the block has `length` bytes and lives as long as `self`.
        unsafe {
            std::ptr::copy_nonoverlapping(self.pointer().cast(), copy.as_mut_ptr(), length);
        }
        copy
    }
}

impl Memory {
    /// Makes the object of a buffer.
    pub(crate) fn new(buffer: Buffer) -> Arc<Self> {
        Arc::new(Self(Mutex::new(buffer)))
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a memory object of a copy of those bytes.
///
/// # Errors
/// Those of [`object::create_with`], and STATUS_INSUFFICIENT_RESOURCES.
pub(crate) fn create_with_bytes(
    parent: Handle,
    attributes: &Attributes,
    bytes: &[u8],
) -> Result<Handle, NtStatus> {
    let payload = Memory::new(Buffer::copy_of(bytes)?);
    object::create_with(Kind::Memory, Some(parent), attributes, payload)
}

extern "C" fn WdfMemoryCreate(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    _pool: u32,
    _tag: u32,
    size: usize,
    memory: Out<'_, Handle>,
    buffer: Out<'_, *mut c_void>,
) -> NtStatus {
    if size == 0 {
        return NtStatus::INVALID_PARAMETER;
    }
    let made = match Buffer::owned(size) {
        Ok(made) => made,
        Err(status) => return status,
    };
    let pointer = made.pointer();
    let (wanted, payload) = ((attributes, Rules::PLAIN), Memory::new(made));
    let (call, kind) = ("WdfMemoryCreate", Kind::Memory);
    let created = create(call, globals, kind, wanted, payload, memory);
    if created.is_ok() {
        buffer.store(pointer);
    }
    status(created.map(drop))
}

extern "C" fn WdfMemoryCreatePreallocated(
    globals: Globals,
    attributes: In<'_, WdfObjectAttributes>,
    buffer: *mut c_void,
    size: usize,
    memory: Out<'_, Handle>,
) -> NtStatus {
    let (call, kind) = ("WdfMemoryCreatePreallocated", Kind::Memory);
    if let Err(status) = required(call, "Buffer", buffer) {
        return status;
    }
    if size == 0 {
        return NtStatus::INVALID_PARAMETER;
    }
    let payload = Memory::new(Buffer::foreign(buffer, size));
    let wanted = (attributes, Rules::PLAIN);
    status(create(call, globals, kind, wanted, payload, memory).map(drop))
}

extern "C" fn WdfMemoryGetBuffer(_: Globals, memory: Handle, size: Out<'_, usize>) -> *mut c_void {
    let found = object::checked::<Memory>("WdfMemoryGetBuffer", memory, Kind::Memory);
    let Ok(found) = found else {
        return null_mut();
    };
    let buffer = found.buffer();
    size.store(buffer.length);
    buffer.pointer()
}

extern "C" fn WdfMemoryAssignBuffer(
    _: Globals,
    memory: Handle,
    buffer: *mut c_void,
    size: usize,
) -> NtStatus {
    let call = "WdfMemoryAssignBuffer";
    status((|| {
        let found = object::checked::<Memory>(call, memory, Kind::Memory)?;
        required(call, "Buffer", buffer)?;
        if size == 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let mut held = found.buffer();
        if held.block.is_some() {
            log::error!("{call}: {memory} was not made by WdfMemoryCreatePreallocated");
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        *held = Buffer::foreign(buffer, size);
        Ok(())
    })())
}

/// The place `offset` bytes into a memory object, if `length` bytes are there.
fn part(
    call: &str,
    memory: Handle,
    (offset, length): (usize, usize),
    other: *const c_void,
) -> Result<(Buffer, usize), NtStatus> {
    let found = object::checked::<Memory>(call, memory, Kind::Memory)?;
    required(call, "Buffer", other)?;
    if length == 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let buffer = found.buffer().clone();
    let end = offset
        .checked_add(length)
        .ok_or(NtStatus::INTEGER_OVERFLOW)?;
    if end > buffer.length {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    let place = buffer.address + offset;
    Ok((buffer, place))
}

/// Moves bytes; the client's buffers may overlap.
///
/// # Safety
/// Both sides have that many bytes.
unsafe fn copy(from: *const c_void, to: *mut c_void, length: usize) {
    // SAFETY: passed on from the caller.
    unsafe { std::ptr::copy(from.cast::<u8>(), to.cast::<u8>(), length) }
}

extern "C" fn WdfMemoryCopyToBuffer(
    _: Globals,
    source: Handle,
    offset: usize,
    buffer: *mut c_void,
    length: usize,
) -> NtStatus {
    let call = "WdfMemoryCopyToBuffer";
    let found = part(call, source, (offset, length), buffer);
    status(found.map(|(_alive, place)| {
        let from = std::ptr::with_exposed_provenance(place);
        // SAFETY: the memory object has the bytes, and the client the room.
        unsafe { copy(from, buffer, length) }
    }))
}

extern "C" fn WdfMemoryCopyFromBuffer(
    _: Globals,
    destination: Handle,
    offset: usize,
    buffer: *const c_void,
    length: usize,
) -> NtStatus {
    let call = "WdfMemoryCopyFromBuffer";
    let found = part(call, destination, (offset, length), buffer);
    status(found.map(|(_alive, place)| {
        let to = std::ptr::with_exposed_provenance_mut(place);
        // SAFETY: the client has the bytes, and the memory object the room.
        unsafe { copy(buffer, to, length) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    fn memory(client: &TestClient, size: usize) -> (Handle, *mut c_void) {
        let mut buffer = null_mut();
        let handle = client.create(|globals, out| {
            WdfMemoryCreate(globals, In::NULL, 0, 0, size, out, Out::of(&mut buffer))
        });
        (handle, buffer)
    }

    fn get(memory: Handle) -> (*mut c_void, usize) {
        let mut size = 0;
        let buffer = WdfMemoryGetBuffer(null(), memory, Out::of(&mut size));
        (buffer, size)
    }

    fn copy_to(memory: Handle, offset: usize, out: &mut [u8], length: usize) -> NtStatus {
        let buffer = out.as_mut_ptr().cast();
        WdfMemoryCopyToBuffer(null(), memory, offset, buffer, length)
    }

    #[test]
    fn memory_is_aligned_and_copied_within_its_bounds_only() {
        let client = TestClient::new();
        let (handle, buffer) = memory(&client, 8);
        assert_eq!(get(handle), (buffer, 8));
        assert_eq!(buffer.addr() % 16, 0);
        let bytes = [1u8, 2, 3, 4];
        let copy_from = |offset, length| {
            let from = bytes.as_ptr().cast();
            WdfMemoryCopyFromBuffer(null(), handle, offset, from, length)
        };
        assert_eq!(copy_from(4, 4), NtStatus::SUCCESS);
        assert_eq!(copy_from(5, 4), NtStatus::BUFFER_TOO_SMALL);
        assert_eq!(copy_from(usize::MAX, 2), NtStatus::INTEGER_OVERFLOW);
        assert_eq!(copy_from(0, 0), NtStatus::INVALID_PARAMETER);
        let mut out = [9u8; 8];
        assert_eq!(copy_to(handle, 0, &mut out, 8), NtStatus::SUCCESS);
        assert_eq!(out, [0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(copy_to(handle, 1, &mut out, 8), NtStatus::BUFFER_TOO_SMALL);
    }

    #[test]
    fn memory_of_no_bytes_and_of_too_many_is_refused() {
        let client = TestClient::new();
        let mut handle = Handle::NULL;
        let mut create = |size| {
            let (globals, out) = (client.globals(), Out::of(&mut handle));
            WdfMemoryCreate(globals, In::NULL, 0, 0, size, out, Out::NULL)
        };
        assert_eq!(create(0), NtStatus::INVALID_PARAMETER);
        for size in [1 << 40, usize::MAX] {
            assert_eq!(create(size), NtStatus::INSUFFICIENT_RESOURCES);
        }
        assert!(handle.is_null());
    }

    #[test]
    fn preallocated_memory_is_the_clients_and_can_be_exchanged() {
        let client = TestClient::new();
        let (mut first, mut second) = ([1u8; 4], [2u8; 6]);
        let handle = client.create(|globals, out| {
            let buffer = first.as_mut_ptr().cast();
            WdfMemoryCreatePreallocated(globals, In::NULL, buffer, 4, out)
        });
        assert_eq!(get(handle), (first.as_mut_ptr().cast(), 4));
        let buffer = second.as_mut_ptr().cast();
        let assign = |buffer, size| WdfMemoryAssignBuffer(null(), handle, buffer, size);
        assert_eq!(assign(buffer, 6), NtStatus::SUCCESS);
        assert_eq!(get(handle), (buffer, 6));
        assert_eq!(assign(buffer, 0), NtStatus::INVALID_PARAMETER);
        assert_eq!(assign(null_mut(), 1), NtStatus::INVALID_PARAMETER);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
        let (owned, _) = memory(&client, 4);
        let status = WdfMemoryAssignBuffer(null(), owned, buffer, 6);
        assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST);
    }

    #[test]
    fn bytes_of_the_host_are_copied_in() {
        let client = TestClient::new();
        let none = Attributes::default();
        let handle = create_with_bytes(client.driver(), &none, b"abc").unwrap();
        let mut out = [0u8; 3];
        assert_eq!(copy_to(handle, 0, &mut out, 3), NtStatus::SUCCESS);
        assert_eq!(&out, b"abc");
        assert_eq!(Buffer::copy_of(b"abcd").unwrap().to_vec(2), b"ab");
    }

    #[test]
    fn no_memory_is_a_bad_handle() {
        assert_eq!(get(Handle::NULL), (null_mut(), 0));
        recorded::take_one(WdfFault::InvalidHandle);
    }
}
