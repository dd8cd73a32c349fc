//! Registers of a device that exists only in a test.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::{Registers, Width, check};

/// Plain memory, except for registers that always read as something else.
pub(in super::super) struct FakeRegisters {
    bytes: Mutex<Vec<u8>>,
    stuck: BTreeMap<usize, u32>,
    writes: Mutex<Vec<(usize, Width, u32)>>,
}

impl FakeRegisters {
    pub(in super::super) fn new(len: usize, stuck: &[(usize, u32)]) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(vec![0; len]),
            stuck: stuck.iter().copied().collect(),
            writes: Mutex::new(Vec::new()),
        })
    }

    /// All writes so far, in order.
    pub(in super::super) fn writes(&self) -> Vec<(usize, Width, u32)> {
        self.writes.lock().unwrap().clone()
    }
}

impl Registers for FakeRegisters {
    fn len(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }

    fn read(&self, offset: usize, width: Width) -> io::Result<u32> {
        check(offset, width, self.len())?;
        if let Some(value) = self.stuck.get(&offset) {
            return Ok(*value);
        }
        let mut field = [0; 4];
        let bytes = self.bytes.lock().unwrap();
        field[..width as usize].copy_from_slice(&bytes[offset..offset + width as usize]);
        Ok(u32::from_le_bytes(field))
    }

    fn write(&self, offset: usize, width: Width, value: u32) -> io::Result<()> {
        check(offset, width, self.len())?;
        let field = &value.to_le_bytes()[..width as usize];
        self.bytes.lock().unwrap()[offset..offset + width as usize].copy_from_slice(field);
        self.writes.lock().unwrap().push((offset, width, value));
        Ok(())
    }
}
