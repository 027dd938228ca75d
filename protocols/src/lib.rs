//! Duty of this crate: the mail protocols as machines and codecs, bytes in and bytes out.
//! It must not know sockets, tasks, clocks, randomness, storage or the cluster: time and random bytes are arguments.
#![forbid(unsafe_code)]

pub mod address;
pub mod imap;
pub mod limits;
pub mod mime;
pub mod sasl;
pub mod smtp;
