//! Agreement between nodes: every write of every group goes through consensus, on one node as on many.
//!
//! Commands go in, replies come out once they are durable on a majority and applied; rows are read behind a barrier.
//! This crate knows consensus and storage; it does not know mail protocols, Maildir paths or actors.
//!
//! ```text
//! handle (propose, read, watch, status)  →  calls  →  group (supervised)  →  raft/replica (openraft)  →  storage
//!                                           calls  →  transport (QUIC)  →  calls on another node
//! ```
#![forbid(unsafe_code)]

pub mod authority;
mod calls;
pub mod clock;
mod compaction;
pub mod error;
mod exchange;
mod files;
mod group;
mod handle;
mod hex;
mod identity;
pub mod limits;
mod members;
pub mod metrics;
mod placement;
mod raft;
pub mod recover;
pub mod runtime;
mod start;
pub mod status;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod watch;

pub use calls::ReadView;
pub use clock::{Clock, SystemClock};
pub use error::{ProposeError, ReadError, StartError};
pub use exchange::Push;
pub use handle::Cluster;
pub use members::{Join, Step, TokenError};
pub use metrics::ClusterMetrics;
pub use raft::LogBounds;
pub use raft::codec::decode_record;
pub use start::{Progress, StartOptions};
pub use status::{ClusterStatus, GroupStatus, NodeReport, ReplicaStatus, Role};
pub use storage::{Bodies, BodyHold, BodyReader, StagedBody};
pub use watch::{Notice, Subscription};
