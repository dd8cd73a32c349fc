//! A client as C would write it, against the functions as C calls them.

#![allow(unsafe_code)] // plays the client: raw rings, raw structures

mod client;
mod configuration;
mod lifecycle;
mod rings;
mod rules;
mod watched;
