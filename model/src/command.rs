//! What can be proposed. Commands are decisions: everything an outcome depends on is in them or in the rows.
//!
//! Variants are only ever added at the end of an enum: their position is their code in logs already written.

use crate::body::{BodyHash, BodyRef};
use crate::directory::DirectoryCommand;
use crate::ids::{OperationId, UnixMillis};
use crate::mailbox::MailboxCommand;
use crate::queue::QueueCommand;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One proposal, as it stands in a group's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Makes a retry recognisable (I8).
    pub operation: OperationId,
    /// The proposer's clock when it decided. The only time apply knows (I3).
    pub proposed_at: UnixMillis,
    /// The decision.
    pub command: Command,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// For group 0.
    Directory(DirectoryCommand),
    /// For the shard of an account.
    Mailbox(MailboxCommand),
    /// For the shard that holds a queue message.
    Queue(QueueCommand),
}

impl Command {
    /// The bodies this command names: each must be durable here before the entry counts as stored (I1).
    pub fn bodies(&self) -> Vec<&BodyRef> {
        match self {
            Command::Directory(_) => Vec::new(),
            Command::Mailbox(command) => command.bodies(),
            Command::Queue(command) => command.bodies(),
        }
    }

    /// Those of them that are not inside it.
    pub fn staged_bodies(&self) -> Vec<BodyHash> {
        self.bodies().into_iter().filter(|body| body.inline.is_none()).map(|body| body.hash).collect()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.command {
            Command::Directory(_) => "directory",
            Command::Mailbox(_) => "mailbox",
            Command::Queue(_) => "queue",
        };
        write!(out, "{kind} {}", self.operation)
    }
}
