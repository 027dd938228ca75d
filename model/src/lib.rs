//! The replicated rules of mailnode: what one committed log entry does to the rows of its group.
//!
//! Everything here is a function of (state, entry): no clock, randomness, files, network or async (I3).
//! The proposer decides and stamps the time; `apply` only carries the decision out, over the [`txn::Txn`] trait.
#![forbid(unsafe_code)]

pub mod apply;
pub mod body;
pub mod codec;
pub mod command;
pub mod dedupe;
pub mod directory;
pub mod ids;
pub mod key;
pub mod limits;
pub mod mailbox;
pub mod memory;
pub mod queue;
pub mod reply;
pub mod txn;
pub mod uidset;

pub use apply::{Change, Outcome, Touch, apply};
pub use body::{BodyHash, BodyRef};
pub use command::{Command, Entry};
pub use ids::{AccountId, FolderId, GroupId, MessageId, ModSeq, NodeId, OperationId, Uid, UnixMillis};
pub use reply::{Imported, Refusal, Reply};
pub use txn::{Read, ReadError, Txn};
pub use uidset::UidSet;
