//! The only folder that names openraft. Out of it come replicas that take proposals and pass read barriers, and this
//! crate's own words for how they stand; no type of openraft.

pub mod codec;
mod completion;
mod log;
mod machine;
mod network;
mod parts;
#[cfg(test)]
mod quorum;
mod replica;
pub mod size;
mod snapshot;
#[cfg(test)]
mod suite;
mod tail;
#[cfg(test)]
mod transfer;
mod types;

#[cfg(test)]
pub use log::waiting_entries;
pub use parts::{Origin, Parts, Replay, Shared};
pub use replica::Replica;
pub use types::Proposal;
