//! Carries out admin commands: hands each to the file of its kind, and holds what they share.

use super::import::{self, ShardCounts};
use super::protocol::{AdminCommand, AdminError, AdminReply, ListenerItem};
use super::server::Handler;
use super::{accounts, members, names, queue, status};
use crate::context::Services;
use crate::ids;
use crate::limits::ADMIN_PROPOSE_TIMEOUT;
use crate::net::Permits;
use crate::services::directory::{AddressError, normalise_address, normalise_domain};
use crate::services::propose::propose_until;
use cluster::ProposeError;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::directory::DirectoryCommand;
use model::directory::row::NodeState;
use model::{Command, GroupId, ReadError, Refusal, Reply};
use std::time::Instant;

/// What `status` tells of this process.
pub struct NodeFacts {
    /// When it started.
    pub started: Instant,
    /// Where it listens.
    pub listeners: Vec<ListenerItem>,
    /// Counts sessions.
    pub permits: Permits,
}

/// The admin commands of a node.
pub struct AdminService {
    pub(super) services: Services,
    pub(super) facts: NodeFacts,
    pub(super) shard_counts: ShardCounts,
}

impl AdminService {
    /// The commands over these services.
    pub fn new(services: Services, facts: NodeFacts) -> AdminService {
        AdminService { services, facts, shard_counts: ShardCounts::default() }
    }

    /// Proposes to the directory and forgets remembered answers, so that the change holds here at once.
    pub(super) async fn change_directory(&self, command: DirectoryCommand) -> Result<Reply, AdminError> {
        accepted(self.try_to_change_directory(command).await?)
    }

    /// As [`Self::change_directory`]; a refusal is a reply.
    pub(super) async fn try_to_change_directory(&self, command: DirectoryCommand) -> Result<Reply, AdminError> {
        let reply = self.try_to_propose(GroupId::DIRECTORY, Command::Directory(command)).await;
        self.services.directory.forget_answers();
        reply
    }

    /// Proposes; a refusal is an error.
    pub(super) async fn propose(&self, group: GroupId, command: Command) -> Result<Reply, AdminError> {
        accepted(self.try_to_propose(group, command).await?)
    }

    async fn try_to_propose(&self, group: GroupId, command: Command) -> Result<Reply, AdminError> {
        let operation = ids::operation(self.services.clock.now());
        let proposed = propose_until(&self.services.cluster, group, operation, command, ADMIN_PROPOSE_TIMEOUT);
        proposed.await.map_err(|error| unavailable(&error))
    }

    async fn run(&self, command: AdminCommand) -> Result<AdminReply, AdminError> {
        use AdminCommand::*;
        match command {
            Status => status::report(self).await,
            DomainAdd { name } => names::add_domain(self, &name).await,
            DomainRemove { name } => names::remove_domain(self, &name).await,
            DomainList(page) => names::list_domains(self, &page),
            CatchAll { domain, target } => names::set_catch_all(self, &domain, target.as_deref()).await,
            AccountAdd { address, password, admin } => accounts::add(self, &address, password, admin).await,
            AccountPassword { address, password } => accounts::set_password(self, &address, password).await,
            AccountRemove { address } => accounts::remove(self, &address).await,
            AccountList(page) => accounts::list(self, &page),
            AccountCheck { accounts } => import::check(self, &accounts).await,
            AccountImport { accounts } => import::import(self, &accounts).await,
            AccountExport { after } => import::export(self, after),
            AliasExport { after } => import::export_aliases(self, after.as_deref()),
            AliasAdd { address, targets } => names::add_alias(self, &address, &targets).await,
            AliasRemove { address } => names::remove_alias(self, &address).await,
            AliasList(page) => names::list_aliases(self, &page),
            QueueList(page) => queue::list(self, &page).await,
            QueueShow { id } => queue::show(self, &id).await,
            QueueRetry { id } => queue::retry(self, &id).await,
            QueueRemove { id } => queue::remove(self, &id).await,
            TokenCreate { valid_seconds } => members::create_token(self, valid_seconds).await,
            NodeList => members::nodes(self).await,
            NodeDrain { name } => members::drain(self, &name).await,
            NodeUndrain { name } => members::set_state(self, &name, NodeState::Active).await,
            NodeRemove { name } => members::set_state(self, &name, NodeState::Leaving).await,
            NodeReplace { old, new } => members::replace(self, &old, &new).await,
            ShardList => members::shards(self).await,
            ShardMove { shard, from, to } => members::move_shard(self, shard, &from, &to).await,
            ShardRebalance { dry_run } => members::rebalance(self, dry_run).await,
        }
    }
}

impl Handler for AdminService {
    fn handle(&self, command: AdminCommand) -> BoxFuture<'_, Result<AdminReply, AdminError>> {
        async move {
            let (said, changes) = (format!("{command:?}"), command.changes());
            let result = self.run(command).await;
            match &result {
                Ok(_) if changes => tracing::info!(command = said, "admin"),
                Ok(_) => tracing::debug!(command = said, "admin"),
                Err(error) => tracing::info!(command = said, %error, "admin: not done"),
            }
            result
        }
        .boxed()
    }
}

/// An address as the directory keeps it.
pub(super) fn address(text: &str) -> Result<String, AdminError> {
    normalise_address(text).map_err(|error| wrong(text, error))
}

/// A domain as the directory keeps it.
pub(super) fn domain(text: &str) -> Result<String, AdminError> {
    match normalise_domain(text) {
        Ok(domain) if domain.starts_with('[') => Err(wrong(text, AddressError::Domain)),
        Ok(domain) => Ok(domain),
        Err(_) => Err(wrong(text, AddressError::Domain)),
    }
}

/// A refusal is an error.
pub(super) fn accepted(reply: Reply) -> Result<Reply, AdminError> {
    match reply {
        Reply::Refused(refusal) => Err(AdminError::Refused(refusal_words(refusal).to_owned())),
        reply => Ok(reply),
    }
}

fn wrong(text: &str, error: AddressError) -> AdminError {
    AdminError::Refused(format!("{text:?}: {error}"))
}

/// A refusal with the name it is about.
pub(super) fn about(name: &str) -> impl Fn(AdminError) -> AdminError {
    move |error| match error {
        AdminError::Refused(reason) => AdminError::Refused(format!("{name}: {reason}")),
        other => other,
    }
}

/// The rows cannot be read.
pub(super) fn unreadable(error: ReadError) -> AdminError {
    AdminError::Unavailable(error.to_string())
}

fn unavailable(error: &ProposeError) -> AdminError {
    AdminError::Unavailable(match error {
        ProposeError::Unknown => "the outcome is not known; look, and try again".to_owned(),
        other => other.to_string(),
    })
}

/// A refusal in words.
pub(super) fn refusal_words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Exists => "exists already",
        Refusal::NotFound => "not found; its domain must be local, see: mailnode domain list",
        Refusal::NoAccount => "no such account",
        Refusal::Invalid => "not valid",
        Refusal::Cannot => "still has accounts or aliases",
        Refusal::Limit => "over the bound",
        Refusal::NoFolder => "no such folder",
        Refusal::UidsExhausted | Refusal::WrongGroup => "cannot be done",
        Refusal::Expired => "the token has expired",
        Refusal::Used => "the token was used by another node",
        Refusal::Outdated => "the node's release is older than what the cluster uses",
        Refusal::Stale => "changed by somebody else meanwhile; try again",
    }
}
