//! System calls by number: an intruder does not go through a library that checks its arguments.
#![allow(unsafe_code)] // Making any call with any argument is what this module is for.

use std::io;

/// What a system call answers.
pub(crate) type Answer = Result<usize, io::Error>;

/// Makes a system call. Pointers are passed as addresses; they have to stay valid meanwhile.
pub(crate) fn call<const N: usize>(number: libc::c_long, arguments: [usize; N]) -> Answer {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: every attempt passes numbers, or addresses of buffers that outlive the call and are
    // as long as the call is told. No attempt lets the kernel change memory that Rust owns
    // otherwise; where one maps memory or starts a process, it touches neither.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(answer.cast_unsigned() as usize),
    }
}

/// Makes a system call without arguments through the door of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_32_bit(number: u32) -> Answer {
    let mut answer = i64::from(number);
    // SAFETY: the kernel takes eax and changes it; r8 to r11 may be cleared on the way.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    match i32::try_from(answer) {
        Ok(error) if error < 0 => Err(io::Error::from_raw_os_error(-error)),
        _ => Ok(answer.cast_unsigned() as usize),
    }
}
