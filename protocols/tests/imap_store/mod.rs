//! A mail store in memory and a driver without sockets, for tests of the IMAP machine.

pub mod account;
pub mod connection;
