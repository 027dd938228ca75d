//! The admin socket: commands of the CLI, length-prefixed JSON over a Unix socket in the data directory that only the
//! owner of the node can open. The protocol and its client know nothing of the node; the service carries commands out.

mod accounts;
mod client;
mod frame;
mod import;
mod members;
mod names;
mod outlook;
mod picture;
mod protocol;
mod queue;
mod roster;
mod server;
mod service;
mod socket;
mod status;

pub(crate) use accounts::generated_password;
pub use accounts::reap_orphans;
pub use client::{Client, ClientError};
pub(crate) use import::check_alone;
pub use outlook::{ranges, some_of};
pub use protocol::{
    AccountItem, AdminCommand, AdminError, AdminReply, AliasItem, DomainItem, ImportItem, ImportOutcome, ListenerItem,
    Page, QueueItem, RecipientItem, StatusReport,
};
pub use roster::{MoveItem, NodeItem, NodeStanding, ReplicaItem, ShardItem, TokenItem, group_name};
pub use server::{Handler, serve};
pub use service::{AdminService, NodeFacts};
pub use socket::bind;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";
