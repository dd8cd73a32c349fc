//! The interface through its headers: clients in C and C++, compiled here and hosted in this
//! process, use every name of it with effect. docs/netadaptercx-api.md names these tests.

mod frames;
mod host;
mod keywords;
mod lifecycle;
mod offloads;
mod power;
mod queues;
mod refused;
