//! Every bound of the protocol machines, one file per protocol, each with the reason for its value (invariant I9).
//! Constants only: no code, no configuration.

pub mod imap;
pub mod mime;
pub mod sasl;
pub mod smtp;
