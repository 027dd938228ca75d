//! The only folder that names openraft. Out of it come replicas that take proposals and pass read barriers, and this
//! crate's own words for how they stand; no type of openraft.

mod append_in;
mod attribution;
mod beats;
pub mod codec;
mod compact;
mod completion;
mod config;
mod inbound;
mod log;
mod machine;
mod membership;
mod network;
mod parts;
mod pipeline;
mod pulse;
#[cfg(test)]
mod pushing;
#[cfg(test)]
mod quorum;
mod reads;
pub mod recover;
mod replica;
mod runtime;
pub mod size;
mod snapshot;
mod snapshot_in;
mod snapshot_out;
#[cfg(test)]
mod suite;
mod tail;
#[cfg(test)]
mod three;
#[cfg(test)]
mod transfer;
mod types;
mod wire;
#[cfg(test)]
mod world;

#[cfg(test)]
pub use completion::completed;
pub use inbound::{Inbound, Replicas};
#[cfg(test)]
pub use log::waiting_entries;
pub use membership::{ChangeError, Leadership, Members};
pub use parts::{Origin, Parts, Replay, Shared};
pub use replica::Replica;
pub use size::LogBounds;
pub use types::{Member, Proposal};
pub use wire::{Address, Wire};
