//! Alone in its process, so that threads and descriptors can be counted.

mod common;

use common::*;

#[test]
fn cycles_leave_neither_threads_nor_descriptors() {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/self/{what}"))
            .unwrap()
            .count()
    };
    let mut bench = running();
    let before = (count("task"), count("fd"));
    for _ in 0..100 {
        bench.adapter.io_stop().unwrap();
        bench.adapter.io_start().unwrap();
    }
    assert_eq!((count("task"), count("fd")), before);
}
