//! A mail store in memory and a driver without sockets, for tests of the IMAP machine. Each test crate uses a part of it.

#![allow(dead_code)]

pub mod account;
pub mod connection;
