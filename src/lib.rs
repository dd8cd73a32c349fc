//! umnet: a virtio network card driven from user mode.
