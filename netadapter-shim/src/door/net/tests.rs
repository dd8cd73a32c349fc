//! A client as C would write it, against the functions as C calls them.

#![allow(unsafe_code)] // plays the client: raw rings, raw structures

mod client;
mod lifecycle;
mod rules;
