//! What an operator does with nodes. Changes are entries of the directory; the leaders make them so.

use crate::error::{ProposeError, ReadError};
use crate::handle::Cluster;
use crate::limits::PROPOSE_TIMEOUT;
use crate::members::token::Token;
use crate::runtime::Instant;
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand;
use model::directory::row::NodeRow;
use model::directory::view;
use model::{Command, Entry, GroupId, NodeId, OperationId, Refusal, Reply};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a token was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The directory refused it.
    #[error("too many tokens are waiting to be used; wait until some have ended")]
    TooMany,
    /// The directory could not be changed.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

impl Cluster {
    /// Invites one node, for a time: the text to give to [`crate::Join`]. It is kept nowhere else.
    pub async fn create_token(&self, valid: Duration) -> Result<String, TokenError> {
        let (id, secret) = (random().map_err(TokenError::Random)?, random().map_err(TokenError::Random)?);
        let token = Token { fingerprint: self.ca_fingerprint(), id, secret };
        let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        let expires_at = self.inner().clock.now().saturating_add(valid_ms);
        let command = MemberCommand::Invite { token: token.id, key: token.key(), expires_at };
        match self.change_members(command).await? {
            Reply::Refused(Refusal::Limit) => Err(TokenError::TooMany),
            Reply::Refused(_) => Err(ProposeError::Unavailable.into()),
            _ => Ok(token.to_string()),
        }
    }

    /// Every node that ever was, as the directory says now.
    pub async fn nodes(&self) -> Result<BTreeMap<NodeId, NodeRow>, ReadError> {
        let rows = self.read(GroupId::DIRECTORY).await?;
        let looked_up = crate::runtime::blocking(move || view::nodes(&rows)).await;
        let nodes = looked_up.map_err(|error| ReadError::Broken(error.to_string()))?;
        nodes.map_err(|error| ReadError::Broken(error.to_string()))
    }

    /// Changes the cluster itself. Not counted among the proposals of clients.
    pub(crate) async fn change_members(&self, command: MemberCommand) -> Result<Reply, ProposeError> {
        let now = self.inner().clock.now();
        let random = random().map_err(|_| ProposeError::Unavailable)?;
        let command = Command::Directory(DirectoryCommand::Members(command));
        let entry = Entry { operation: OperationId::new(now, random), proposed_at: now, command };
        self.propose_entry(GroupId::DIRECTORY, entry, Instant::now() + PROPOSE_TIMEOUT).await
    }
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    crate::runtime::fill_random(&mut bytes)?;
    Ok(bytes)
}
