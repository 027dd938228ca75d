//! The mail queue at work: which message is due, where it goes, what came of it, and who is told.
//!
//! ```text
//! shard (leader only: claim) → worker → local delivery, or router → sender → conversation → plan → report with notices
//! ```
//! The replicated rules keep the state (`model::queue`); this folder decides and acts, and forgets everything when it stops.

pub mod connection;
pub mod conversation;
pub mod destinations;
pub mod dns;
pub mod notice;
pub mod plan;
pub mod result;
pub mod retry;
pub mod route;
pub mod sender;
pub mod shard;
pub mod sorting;
pub mod supervisor;
pub mod worker;

pub use retry::Retry;
pub use supervisor::Queue;
pub use worker::Worker;
