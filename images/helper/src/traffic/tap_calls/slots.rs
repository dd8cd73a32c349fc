//! Slots for frames, and the ways to fill them from a file and to empty them into it.
#![allow(unsafe_code)] // the kernel is given addresses to read from and write to later

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;

use io_uring::types::{Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use nix::libc::iovec;

use super::frame::VNET;

/// The most frames by one call.
const LARGEST_BATCH: u32 = 64;
/// All of a batch is there already: who waits has missed something.
const PATIENCE: Timespec = Timespec::new().sec(5);
/// The one file that the ring knows.
const FILE: Fixed = Fixed(0);

/// So many slots, each for one frame with its virtio header, and a ring for one file.
pub(super) struct Slots {
    ring: IoUring,
    /// Never given back. Empty after a failure, when requests may be under way.
    memory: &'static mut [u8],
    stride: usize,
}

impl Slots {
    /// `count` slots of `stride` bytes.
    pub(super) fn new(file: &File, count: usize, stride: usize) -> io::Result<Self> {
        let memory = vec![0; count * stride].leak();
        let ring = IoUring::new(LARGEST_BATCH)?;
        ring.submitter().register_files(&[file.as_raw_fd()])?;
        let all = iovec {
            iov_base: memory.as_mut_ptr().cast(),
            iov_len: memory.len(),
        };
        // SAFETY: the memory is never given back.
        unsafe { ring.submitter().register_buffers(&[all]) }?;
        Ok(Self {
            ring,
            memory,
            stride,
        })
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.chunks_exact_mut(self.stride)
    }

    pub(super) fn read_each(&mut self, mut file: &File) -> io::Result<()> {
        self.each(|slot| file.read(slot))
    }

    pub(super) fn write_each(&mut self, mut file: &File) -> io::Result<()> {
        self.each(|slot| file.write(slot))
    }

    pub(super) fn read_each_vectored(&mut self, mut file: &File) -> io::Result<()> {
        self.each(|slot| {
            let (header, frame) = slot.split_at_mut(VNET);
            file.read_vectored(&mut [IoSliceMut::new(header), IoSliceMut::new(frame)])
        })
    }

    pub(super) fn write_each_vectored(&mut self, mut file: &File) -> io::Result<()> {
        self.each(|slot| {
            let (header, frame) = slot.split_at(VNET);
            file.write_vectored(&[IoSlice::new(header), IoSlice::new(frame)])
        })
    }

    /// `batch` frames by one call, at most [`LARGEST_BATCH`].
    pub(super) fn read_batches(&mut self, batch: usize, registered: bool) -> io::Result<()> {
        self.batches(batch, |slot, length| match registered {
            true => opcode::ReadFixed::new(FILE, slot, length, 0).build(),
            false => opcode::Read::new(FILE, slot, length).build(),
        })
    }

    /// The same the other way.
    pub(super) fn write_batches(&mut self, batch: usize, registered: bool) -> io::Result<()> {
        self.batches(batch, |slot, length| match registered {
            true => opcode::WriteFixed::new(FILE, slot, length, 0).build(),
            false => opcode::Write::new(FILE, slot, length).build(),
        })
    }

    fn each(&mut self, mut call: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        let stride = self.stride;
        self.all().try_for_each(|slot| whole(call(slot)?, stride))
    }

    fn batches(
        &mut self,
        batch: usize,
        request: impl Fn(*mut u8, u32) -> squeue::Entry,
    ) -> io::Result<()> {
        let memory = std::mem::take(&mut self.memory);
        for slots in memory.chunks_exact_mut(batch * self.stride) {
            let mut submission = self.ring.submission();
            for slot in slots.chunks_exact_mut(self.stride) {
                let request = request(slot.as_mut_ptr(), slot.len() as u32);
                // SAFETY: the slot is never given back, and nobody has it before `answers` has
                // seen the end of all requests, or ever when it has not.
                unsafe { submission.push(&request) }.map_err(io::Error::other)?;
            }
            drop(submission);
            self.answers(batch)?;
        }
        self.memory = memory;
        Ok(())
    }

    /// Has the kernel do what was asked for, each to its end.
    fn answers(&mut self, count: usize) -> io::Result<()> {
        let patience = SubmitArgs::new().timespec(&PATIENCE);
        self.ring.submitter().submit_with_args(count, &patience)?;
        let mut answers = 0;
        for answer in self.ring.completion() {
            let length = usize::try_from(answer.result());
            let failed = |_| io::Error::from_raw_os_error(-answer.result());
            whole(length.map_err(failed)?, self.stride)?;
            answers += 1;
        }
        match answers == count {
            true => Ok(()),
            false => Err(io::Error::other("a request without an answer")),
        }
    }
}

/// Each call moves one frame and all of it.
fn whole(length: usize, stride: usize) -> io::Result<()> {
    match length == stride {
        true => Ok(()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}
