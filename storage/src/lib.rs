//! Durable bytes on one machine: the raft log, the rows the rules made of it, message bodies and their Maildir projection.
//!
//! Opaque log records and committed entries go in; durability, rows and files come out. This crate does not know the
//! consensus library, the network or any mail protocol, and runs on threads: completions are callbacks.
#![forbid(unsafe_code)]

pub mod bodies;
pub mod disk;
pub mod key;
mod lane;
pub mod limits;
pub mod log;
pub mod rows;
pub mod sim;
pub mod snapshot;
pub mod state;
pub mod store;

pub use bodies::{Bodies, BodyHold, BodyReader, Lender, StagedBody};
pub use log::{Bounds, GroupLog, LogRecord, LogSize, Metrics, Pace};
pub use rows::RowsFigures;
pub use snapshot::{Install, Manifest, Snapshot};
pub use state::{ApplyItem, GroupState, ReadView};
pub use store::{Decode, OpenError, Options, Progress, RewriteStatus, Store};

/// A completion: called once, from a thread of this crate, and must not block.
pub type Done<T> = Box<dyn FnOnce(std::io::Result<T>) + Send>;

#[cfg(test)]
mod testing;
