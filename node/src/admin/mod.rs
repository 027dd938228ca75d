//! The admin socket: commands of the CLI, length-prefixed JSON over a Unix socket in the data directory that only the
//! owner of the node can open. The protocol and its client know nothing of the node; the service carries commands out.

mod accounts;
mod client;
mod frame;
mod names;
mod protocol;
mod queue;
mod server;
mod service;
mod socket;
mod status;

pub(crate) use accounts::generated_password;
pub use accounts::reap_orphans;
pub use client::{Client, ClientError};
pub use protocol::{
    AccountItem, AdminCommand, AdminError, AdminReply, AliasItem, DomainItem, ListenerItem, Page, QueueItem,
    RecipientItem, StatusReport,
};
pub use server::{Handler, serve};
pub use service::{AdminService, NodeFacts};
pub use socket::bind;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";
