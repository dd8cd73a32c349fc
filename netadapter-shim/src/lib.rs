//! NetAdapterCx's half: adapters, packet queues, rings and system buffers.
