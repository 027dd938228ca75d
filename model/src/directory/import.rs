//! Accounts that come from another server, many in one entry, and the replacement of the hashes that they came with.
//!
//! Each account of an entry stands alone: it is made with all its aliases, or nothing of it is.

use super::row::{self, AccountRow, AliasRow, Credentials};
use super::{domain_of, is_address, next_account, put, refused, view};
use crate::ids::{AccountId, GroupId, UnixMillis};
use crate::limits::{
    ACCOUNT_NAME_BYTES_MAX, ALIASES_PER_IMPORTED_MAX, IMPORTED_PER_ENTRY_MAX, PASSWORD_HASH_BYTES_MAX,
    SCRAM_SALT_BYTES_MAX, SHARDS,
};
use crate::reply::{Imported, Refusal, Reply};
use crate::txn::{ReadError, Txn};
use serde::{Deserialize, Serialize};

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewAccount {
    /// Its address; its domain must be local.
    pub address: String,
    /// The name of its owner; may be empty.
    pub name: String,
    /// The shard it will live in, chosen by the proposer.
    pub shard: GroupId,
    /// Its password in derived form, or the hash it came with ([`Credentials::foreign`]).
    pub credentials: Credentials,
    /// Whether it may administer.
    pub admin: bool,
    /// Addresses that become aliases for this account alone.
    pub aliases: Vec<String>,
}

/// Makes accounts in the order given. The reply has one result per account, in that order.
pub(super) fn import(txn: &mut dyn Txn, now: UnixMillis, accounts: &[NewAccount]) -> Result<Reply, ReadError> {
    if accounts.len() > IMPORTED_PER_ENTRY_MAX {
        return refused(Refusal::Limit);
    }
    let mut results = Vec::with_capacity(accounts.len());
    for new in accounts {
        results.push(match obstacle(txn, new)? {
            Some(refusal) => Imported::Refused(refusal),
            None => Imported::Made(make(txn, now, new)?),
        });
    }
    Ok(Reply::Imported(results))
}

/// Why an account cannot be made with all its aliases.
fn obstacle(txn: &dyn Txn, new: &NewAccount) -> Result<Option<Refusal>, ReadError> {
    if !is_address(&new.address) || new.shard.is_directory() || new.shard.0 > SHARDS {
        return Ok(Some(Refusal::Invalid));
    }
    let scram = &new.credentials.scram;
    if new.name.len() > ACCOUNT_NAME_BYTES_MAX
        || new.credentials.argon2.len() > PASSWORD_HASH_BYTES_MAX
        || scram.salt.len() > SCRAM_SALT_BYTES_MAX
        || new.aliases.len() > ALIASES_PER_IMPORTED_MAX
    {
        return Ok(Some(Refusal::Limit));
    }
    if view::domain(txn, domain_of(&new.address))?.is_none() {
        return Ok(Some(Refusal::NotFound));
    }
    if view::account_id(txn, &new.address)?.is_some() || view::alias(txn, &new.address)?.is_some() {
        return Ok(Some(Refusal::Exists));
    }
    for alias in &new.aliases {
        if let Some(refusal) = alias_obstacle(txn, alias, &new.address)? {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}

/// Why an address cannot be an alias for `target` alone. An alias that is exactly this already is no obstacle.
fn alias_obstacle(txn: &dyn Txn, alias: &str, target: &str) -> Result<Option<Refusal>, ReadError> {
    if !is_address(alias) {
        return Ok(Some(Refusal::Invalid));
    }
    if view::domain(txn, domain_of(alias))?.is_none() {
        return Ok(Some(Refusal::NotFound));
    }
    if alias == target || view::account_id(txn, alias)?.is_some() {
        return Ok(Some(Refusal::Exists));
    }
    let other = view::alias(txn, alias)?.is_some_and(|row| row.targets != [target]);
    Ok(other.then_some(Refusal::Exists))
}

fn make(txn: &mut dyn Txn, now: UnixMillis, new: &NewAccount) -> Result<AccountId, ReadError> {
    let account = next_account(txn)?;
    let row = AccountRow {
        address: new.address.clone(),
        shard: new.shard,
        created_at: now,
        credentials: new.credentials.clone(),
        admin: new.admin,
        enabled: true,
        name: new.name.clone(),
    };
    txn.put(&row::key::address(&new.address), &account.0.to_be_bytes());
    txn.put(&row::key::account(account), &row.encode());
    for alias in &new.aliases {
        put(txn, &row::key::alias(alias), &AliasRow { targets: vec![new.address.clone()] });
    }
    Ok(account)
}

/// Replaces a hash, unless it is no longer the one that the proposer has verified a password with.
pub(super) fn replace_hash(
    txn: &mut dyn Txn,
    address: &str,
    expected: &str,
    credentials: &Credentials,
) -> Result<Reply, ReadError> {
    let Some((account, mut row)) = view::account_by_address(txn, address)? else { return refused(Refusal::NotFound) };
    if row.credentials.argon2 != expected {
        return refused(Refusal::Stale);
    }
    row.credentials = credentials.clone();
    txn.put(&row::key::account(account), &row.encode());
    Ok(Reply::Done)
}
