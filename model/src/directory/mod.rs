//! The directory group: domains, accounts, credentials, aliases, nodes and settings. Every node holds all of it.

pub mod import;
pub mod members;
pub mod recovery;
pub mod row;
pub mod view;

use crate::apply::{Change, Outcome};
use crate::codec;
use crate::ids::{AccountId, GroupId, NodeId, UnixMillis};
use crate::limits::{ADDRESS_BYTES_MAX, ALIAS_TARGETS_MAX, SHARDS};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use import::NewAccount;
use members::MemberCommand;
use row::{AccountRow, AliasRow, Credentials, DomainRow, NodeNames};
use serde::{Deserialize, Serialize};

const ACCOUNT_COUNTER: &str = "account";

/// A decision about the cluster's own state. Names are normalised by the proposer: domains lower-case in Unicode form,
/// addresses as `local@domain` with a lower-case local part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DirectoryCommand {
    /// Makes a domain local.
    AddDomain {
        /// Its name.
        name: String,
    },
    /// A domain without accounts and aliases stops being local.
    RemoveDomain {
        /// Its name.
        name: String,
    },
    /// Where mail to unknown addresses of a domain goes; `None` refuses it.
    SetCatchAll {
        /// The domain.
        domain: String,
        /// An address.
        target: Option<String>,
    },
    /// Makes an account.
    AddAccount {
        /// Its address; its domain must be local.
        address: String,
        /// The shard it will live in, chosen by the proposer.
        shard: GroupId,
        /// Its password in derived form.
        credentials: Credentials,
        /// Whether it may administer.
        admin: bool,
    },
    /// Changes a password.
    SetCredentials {
        /// Whose.
        address: String,
        /// The new one.
        credentials: Credentials,
    },
    /// Forgets an account; its shard is told apart.
    RemoveAccount {
        /// Whose.
        address: String,
    },
    /// Makes or replaces an alias.
    SetAlias {
        /// The alias.
        address: String,
        /// Addresses, local or not.
        targets: Vec<String>,
    },
    /// Forgets an alias.
    RemoveAlias {
        /// The alias.
        address: String,
    },
    /// A node of the first release announces itself; later ones use [`MemberCommand::Announce`].
    SetNode {
        /// Its id.
        node: NodeId,
        /// How it stands.
        row: NodeNames,
    },
    /// Sets or (with `None`) clears a cluster-wide setting.
    SetSetting {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// About the nodes of the cluster and what they hold.
    Members(MemberCommand),
    /// Makes accounts that come from another server, each with its aliases or not at all. From format 3 on.
    ImportAccounts {
        /// At most [`crate::limits::IMPORTED_PER_ENTRY_MAX`].
        accounts: Vec<NewAccount>,
    },
    /// Replaces the hash that an account came with by our own. Refused as stale when the account has another hash by
    /// now: a password that was changed meanwhile is kept. From format 3 on.
    ReplaceHash {
        /// Whose.
        address: String,
        /// The hash that a password was verified with.
        expected: String,
        /// What is kept of that password from now on.
        credentials: Credentials,
    },
}

/// Carries out one directory command.
pub fn apply(
    txn: &mut dyn Txn,
    now: UnixMillis,
    command: &DirectoryCommand,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    use DirectoryCommand::*;
    let reply = match command {
        AddDomain { name } => add_domain(txn, now, name)?,
        RemoveDomain { name } => remove_domain(txn, name)?,
        SetCatchAll { domain, target } => set_catch_all(txn, domain, target.as_deref())?,
        AddAccount { address, shard, credentials, admin } => {
            add_account(txn, now, address, *shard, credentials, *admin)?
        }
        SetCredentials { address, credentials } => set_credentials(txn, address, credentials)?,
        RemoveAccount { address } => remove_account(txn, address)?,
        SetAlias { address, targets } => set_alias(txn, address, targets)?,
        RemoveAlias { address } => remove_alias(txn, address)?,
        SetNode { node, row } => set_node(txn, *node, row)?,
        SetSetting { name, value } => set_setting(txn, name, value.as_deref()),
        Members(command) => members::apply(txn, now, command)?,
        ImportAccounts { accounts } => import::import(txn, now, accounts)?,
        ReplaceHash { address, expected, credentials } => import::replace_hash(txn, address, expected, credentials)?,
    };
    if !matches!(reply, Reply::Refused(_)) {
        outcome.changes.push(Change::Directory);
    }
    Ok(reply)
}

fn put<T: Serialize>(txn: &mut dyn Txn, key: &[u8], row: &T) -> Reply {
    txn.put(key, &codec::encode(row));
    Reply::Done
}

fn refused(refusal: Refusal) -> Result<Reply, ReadError> {
    Ok(Reply::Refused(refusal))
}

fn add_domain(txn: &mut dyn Txn, now: UnixMillis, name: &str) -> Result<Reply, ReadError> {
    if name.is_empty() || name.len() > ADDRESS_BYTES_MAX || name.contains('@') {
        return refused(Refusal::Invalid);
    }
    if view::domain(txn, name)?.is_some() {
        return refused(Refusal::Exists);
    }
    let row = DomainRow { created_at: now, catch_all: None };
    Ok(put(txn, &row::key::domain(name), &row))
}

fn remove_domain(txn: &mut dyn Txn, name: &str) -> Result<Reply, ReadError> {
    if view::domain(txn, name)?.is_none() {
        return refused(Refusal::NotFound);
    }
    if view::domain_in_use(txn, name)? {
        return refused(Refusal::Cannot);
    }
    txn.delete(&row::key::domain(name));
    Ok(Reply::Done)
}

fn set_catch_all(txn: &mut dyn Txn, domain: &str, target: Option<&str>) -> Result<Reply, ReadError> {
    let Some(mut row) = view::domain(txn, domain)? else { return refused(Refusal::NotFound) };
    if target.is_some_and(|target| !is_address(target)) {
        return refused(Refusal::Invalid);
    }
    row.catch_all = target.map(str::to_owned);
    Ok(put(txn, &row::key::domain(domain), &row))
}

fn add_account(
    txn: &mut dyn Txn,
    now: UnixMillis,
    address: &str,
    shard: GroupId,
    credentials: &Credentials,
    admin: bool,
) -> Result<Reply, ReadError> {
    if !is_address(address) || shard.is_directory() || shard.0 > SHARDS {
        return refused(Refusal::Invalid);
    }
    if view::domain(txn, domain_of(address))?.is_none() {
        return refused(Refusal::NotFound);
    }
    if view::account_id(txn, address)?.is_some() || view::alias(txn, address)?.is_some() {
        return refused(Refusal::Exists);
    }
    let account = next_account(txn)?;
    let row = AccountRow {
        address: address.to_owned(),
        shard,
        created_at: now,
        credentials: credentials.clone(),
        admin,
        enabled: true,
        name: String::new(),
    };
    txn.put(&row::key::address(address), &account.0.to_be_bytes());
    txn.put(&row::key::account(account), &row.encode());
    Ok(Reply::Account(account))
}

fn next_account(txn: &mut dyn Txn) -> Result<AccountId, ReadError> {
    next(txn, ACCOUNT_COUNTER).map(AccountId)
}

/// Draws a number that was never drawn before.
fn next(txn: &mut dyn Txn, counter: &str) -> Result<u64, ReadError> {
    let drawn = view::counter(txn, counter)?.saturating_add(1);
    txn.put(&row::key::counter(counter), &drawn.to_be_bytes());
    Ok(drawn)
}

/// A row of the first release stays one until its node announces more: replicas of both write the same bytes.
fn set_node(txn: &mut dyn Txn, node: NodeId, names: &NodeNames) -> Result<Reply, ReadError> {
    let key = row::key::node(node);
    let known = view::node(txn, node)?.filter(|row| row.facts.key != [0; 32]);
    let Some(mut row) = known else { return Ok(put(txn, &key, names)) };
    let NodeNames { name, hostname, version } = names.clone();
    row.facts = row::NodeFacts { name, hostname, version, ..row.facts };
    txn.put(&key, &row.encode());
    Ok(Reply::Done)
}

fn set_credentials(txn: &mut dyn Txn, address: &str, credentials: &Credentials) -> Result<Reply, ReadError> {
    let Some((account, mut row)) = view::account_by_address(txn, address)? else { return refused(Refusal::NotFound) };
    row.credentials = credentials.clone();
    txn.put(&row::key::account(account), &row.encode());
    Ok(Reply::Done)
}

fn remove_account(txn: &mut dyn Txn, address: &str) -> Result<Reply, ReadError> {
    let Some(account) = view::account_id(txn, address)? else { return refused(Refusal::NotFound) };
    txn.delete(&row::key::address(address));
    txn.delete(&row::key::account(account));
    Ok(Reply::Account(account))
}

fn set_alias(txn: &mut dyn Txn, address: &str, targets: &[String]) -> Result<Reply, ReadError> {
    if !is_address(address) || targets.is_empty() || !targets.iter().all(|target| is_address(target)) {
        return refused(Refusal::Invalid);
    }
    if targets.len() > ALIAS_TARGETS_MAX {
        return refused(Refusal::Limit);
    }
    if view::domain(txn, domain_of(address))?.is_none() {
        return refused(Refusal::NotFound);
    }
    if view::account_id(txn, address)?.is_some() {
        return refused(Refusal::Exists);
    }
    Ok(put(txn, &row::key::alias(address), &AliasRow { targets: targets.to_vec() }))
}

fn remove_alias(txn: &mut dyn Txn, address: &str) -> Result<Reply, ReadError> {
    if view::alias(txn, address)?.is_none() {
        return refused(Refusal::NotFound);
    }
    txn.delete(&row::key::alias(address));
    Ok(Reply::Done)
}

fn set_setting(txn: &mut dyn Txn, name: &str, value: Option<&str>) -> Reply {
    match value {
        Some(value) => txn.put(&row::key::setting(name), value.as_bytes()),
        None => txn.delete(&row::key::setting(name)),
    }
    Reply::Done
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    text.len() <= ADDRESS_BYTES_MAX && parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// The part behind the last `@`.
pub fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}
