//! Requests and replies of the admin socket. Plain data; a field is only ever added with a default.

use super::roster::{MoveItem, NodeItem, ShardItem, TokenItem};
use serde::{Deserialize, Serialize};

/// The version this release speaks.
pub const VERSION: u32 = 1;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// What to do.
    pub command: AdminCommand,
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// [`VERSION`] of the server.
    pub version: u32,
    /// What came of it.
    pub result: Result<AdminReply, AdminError>,
}

/// What the CLI can ask for. Addresses and domains come as typed; the node normalises them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminCommand {
    /// How the node stands.
    Status,
    /// Makes a domain local.
    DomainAdd {
        /// Its name.
        name: String,
    },
    /// A domain without accounts and aliases stops being local.
    DomainRemove {
        /// Its name.
        name: String,
    },
    /// Local domains by name.
    DomainList(Page),
    /// Where mail to unknown addresses of a domain goes.
    CatchAll {
        /// The domain.
        domain: String,
        /// An address; `None` refuses such mail.
        target: Option<String>,
    },
    /// Makes an account.
    AccountAdd {
        /// Its address.
        address: String,
        /// Its password; `None` lets the node make one and return it.
        password: Option<String>,
        /// Whether it may administer.
        admin: bool,
    },
    /// Changes a password.
    AccountPassword {
        /// Whose.
        address: String,
        /// The new one; `None` lets the node make one and return it.
        password: Option<String>,
    },
    /// Removes an account and all its mail.
    AccountRemove {
        /// Whose.
        address: String,
    },
    /// Accounts by address.
    AccountList(Page),
    /// What would become of these accounts of another server; writes nothing.
    AccountCheck {
        /// At most [`crate::limits::IMPORT_BATCH_ACCOUNTS_MAX`].
        accounts: Vec<ImportItem>,
    },
    /// Makes those of these accounts that can be made.
    AccountImport {
        /// At most [`crate::limits::IMPORT_BATCH_ACCOUNTS_MAX`].
        accounts: Vec<ImportItem>,
    },
    /// Accounts with their hashes, in the form of an import, by id.
    AccountExport {
        /// The `next` of the page before; 0 for the first page.
        after: u64,
    },
    /// Aliases for an export; those with several targets come without targets.
    AliasExport {
        /// The last alias of the page before.
        after: Option<String>,
    },
    /// Makes or replaces an alias.
    AliasAdd {
        /// The alias.
        address: String,
        /// Where its mail goes.
        targets: Vec<String>,
    },
    /// Removes an alias.
    AliasRemove {
        /// The alias.
        address: String,
    },
    /// Aliases by address.
    AliasList(Page),
    /// Queued messages, oldest first.
    QueueList(Page),
    /// One queued message.
    QueueShow {
        /// Its id, 32 hexadecimal digits.
        id: String,
    },
    /// Tries a queued message now.
    QueueRetry {
        /// Its id.
        id: String,
    },
    /// Forgets a queued message and tells nobody.
    QueueRemove {
        /// Its id.
        id: String,
    },
    /// Makes an invitation for one node.
    TokenCreate {
        /// How long it is good, seconds.
        valid_seconds: u64,
    },
    /// Nodes by name.
    NodeList,
    /// Takes leadership and sessions from a node, so that it can be stopped unnoticed.
    NodeDrain {
        /// Its name.
        name: String,
    },
    /// Ends draining.
    NodeUndrain {
        /// Its name.
        name: String,
    },
    /// Moves everything from a node, then refuses it for ever.
    NodeRemove {
        /// Its name.
        name: String,
    },
    /// As removing the one, but its replicas go to the other.
    NodeReplace {
        /// The name of the node that goes.
        old: String,
        /// The name of a node that is in the cluster already.
        new: String,
    },
    /// Groups by number, the directory first.
    ShardList,
    /// Moves one replica.
    ShardMove {
        /// The shard.
        shard: u32,
        /// The name of the node that has it.
        from: String,
        /// The name of the node that gets it.
        to: String,
    },
    /// Spreads replicas evenly.
    ShardRebalance {
        /// Only say what would move.
        dry_run: bool,
    },
}

impl AdminCommand {
    /// Whether it changes anything; the others only look.
    pub fn changes(&self) -> bool {
        use AdminCommand::*;
        !matches!(
            self,
            Status
                | DomainList(_)
                | AccountList(_)
                | AccountCheck { .. }
                | AccountExport { .. }
                | AliasList(_)
                | AliasExport { .. }
                | QueueList(_)
                | QueueShow { .. }
                | NodeList
                | ShardList
                | ShardRebalance { dry_run: true }
        )
    }
}

/// Shows which command, never a password.
impl std::fmt::Debug for AdminCommand {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use AdminCommand::*;
        match self {
            AccountAdd { address, .. } => write!(out, "AccountAdd({address})"),
            AccountPassword { address, .. } => write!(out, "AccountPassword({address})"),
            AccountCheck { accounts } => write!(out, "AccountCheck({} accounts)", accounts.len()),
            AccountImport { accounts } => write!(out, "AccountImport({} accounts)", accounts.len()),
            AccountExport { after } => write!(out, "AccountExport({after})"),
            AliasExport { after } => write!(out, "AliasExport({after:?})"),
            Status => out.write_str("Status"),
            DomainAdd { name } => write!(out, "DomainAdd({name})"),
            DomainRemove { name } => write!(out, "DomainRemove({name})"),
            CatchAll { domain, target } => write!(out, "CatchAll({domain}, {target:?})"),
            AccountRemove { address } => write!(out, "AccountRemove({address})"),
            AliasAdd { address, targets } => write!(out, "AliasAdd({address}, {targets:?})"),
            AliasRemove { address } => write!(out, "AliasRemove({address})"),
            QueueShow { id } | QueueRetry { id } | QueueRemove { id } => write!(out, "Queue({id})"),
            TokenCreate { valid_seconds } => write!(out, "TokenCreate({valid_seconds} s)"),
            NodeList => out.write_str("NodeList"),
            NodeDrain { name } => write!(out, "NodeDrain({name})"),
            NodeUndrain { name } => write!(out, "NodeUndrain({name})"),
            NodeRemove { name } => write!(out, "NodeRemove({name})"),
            NodeReplace { old, new } => write!(out, "NodeReplace({old}, {new})"),
            ShardList => out.write_str("ShardList"),
            ShardMove { shard, from, to } => write!(out, "ShardMove({shard}, {from}, {to})"),
            ShardRebalance { dry_run } => write!(out, "ShardRebalance(dry run: {dry_run})"),
            DomainList(page) | AccountList(page) | AliasList(page) | QueueList(page) => write!(out, "List({page:?})"),
        }
    }
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The last item of the page before; `None` for the first page.
    pub after: Option<String>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminReply {
    /// Done.
    Done,
    /// Done, under this password that the node made.
    Password(String),
    /// See [`AdminCommand::Status`].
    Status(Box<StatusReport>),
    /// A page; an empty one is the end of the listing.
    Domains(Vec<DomainItem>),
    /// A page.
    Accounts(Vec<AccountItem>),
    /// One outcome per account of a check or an import, in its order.
    Imported(Vec<ImportOutcome>),
    /// A page of an export.
    Exported {
        /// Accounts.
        items: Vec<ImportItem>,
        /// Where the next page begins; `None` at the end.
        next: Option<u64>,
    },
    /// A page.
    Aliases(Vec<AliasItem>),
    /// A page.
    Queue(Vec<QueueItem>),
    /// An invitation.
    Token(TokenItem),
    /// Every node.
    Nodes(Vec<NodeItem>),
    /// Every group.
    Shards(Vec<ShardItem>),
    /// Replicas that move, or would.
    Moves(Vec<MoveItem>),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum AdminError {
    /// It cannot be done; asking again will not help.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done now.
    #[error("{0}")]
    Unavailable(String),
    /// Client and node are of releases that do not understand each other.
    #[error("the node speaks version {0} of the admin protocol; use the mailnode binary it was started from")]
    Version(u32),
}

/// A local domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainItem {
    /// Its name.
    pub name: String,
    /// Where mail to unknown addresses goes.
    pub catch_all: Option<String>,
    /// Accounts in it.
    pub accounts: u64,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountItem {
    /// Its address.
    pub address: String,
    /// Its id.
    pub id: u64,
    /// Where it lives.
    pub shard: u32,
    /// Whether it may administer.
    pub admin: bool,
    /// Whether it may log in.
    pub enabled: bool,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The name of its owner, may be empty.
    #[serde(default)]
    pub name: String,
}

/// An account that comes from another server, as a line of a file gives it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportItem {
    /// Its address.
    pub address: String,
    /// The name of its owner, may be empty.
    #[serde(default)]
    pub name: String,
    /// Its password; either this or `hash`.
    #[serde(default)]
    pub password: Option<String>,
    /// Its hash in Dovecot's notation.
    #[serde(default)]
    pub hash: Option<String>,
    /// Further addresses of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether it may administer.
    #[serde(default)]
    pub admin: bool,
}

impl ImportItem {
    /// Bytes of its text.
    pub fn bytes(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let aliases: usize = self.aliases.iter().map(String::len).sum();
        self.address.len() + self.name.len() + optional(&self.password) + optional(&self.hash) + aliases
    }
}

/// Shows whose, never a password or hash.
impl std::fmt::Debug for ImportItem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ImportItem({})", self.address)
    }
}

/// What became of an account of an import, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportOutcome {
    /// It was made.
    Made,
    /// An account with this address exists; it was not changed.
    AlreadyThere,
    /// It cannot be made, and why.
    Wrong(String),
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasItem {
    /// Its address.
    pub address: String,
    /// Where its mail goes.
    pub targets: Vec<String>,
}

/// A queued message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueItem {
    /// Its id.
    pub id: String,
    /// Its reverse path; empty for reports.
    pub sender: String,
    /// Bytes.
    pub size: u64,
    /// RFC 3339.
    pub accepted: String,
    /// When it is tried next, RFC 3339.
    pub next_attempt: String,
    /// When trying ends, RFC 3339.
    pub expires: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Whether it is being tried now.
    pub trying: bool,
    /// Its recipients.
    pub recipients: Vec<RecipientItem>,
}

/// A recipient of a queued message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientItem {
    /// Its address.
    pub address: String,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// What was last said about it.
    pub said: String,
}

/// How the node stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The node's name.
    pub name: String,
    /// The name it says in greetings.
    pub hostname: String,
    /// Its release.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its data directory.
    pub data: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Whether every group has a leader, so that mail can be taken.
    pub available: bool,
    /// In plain words, what an operator should know; empty when all is well.
    pub notes: Vec<String>,
    /// Groups, and those led by this node.
    pub groups: u64,
    /// See `groups`.
    pub groups_led: u64,
    /// Entries and bytes in all logs.
    pub log_entries: u64,
    /// See `log_entries`.
    pub log_bytes: u64,
    /// Sessions open now.
    pub sessions: u64,
    /// Local domains.
    pub domains: u64,
    /// Accounts.
    pub accounts: u64,
    /// Aliases.
    pub aliases: u64,
    /// Queued messages, counted up to 10,000.
    pub queued: u64,
    /// Free bytes on the data directory's disk.
    pub disk_free_bytes: Option<u64>,
    /// Whether new mail is refused because the disk is nearly full.
    pub disk_full: bool,
    /// Fingerprint of the cluster's authority.
    pub cluster: String,
    /// Where it listens.
    pub listeners: Vec<ListenerItem>,
    /// What the cluster can lose right now, in plain words.
    #[serde(default)]
    pub outlook: Vec<String>,
    /// The nodes of the cluster, by name.
    #[serde(default)]
    pub nodes: Vec<NodeItem>,
    /// Every group with its leader and replicas, the directory first.
    #[serde(default)]
    pub shards: Vec<ShardItem>,
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerItem {
    /// The service.
    pub name: String,
    /// The real address and port.
    pub address: String,
    /// `none`, `starttls` or `implicit`.
    pub tls: String,
}
