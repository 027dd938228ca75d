//! Reading the directory: who lives where, and where an address leads.

use super::domain_of;
use super::recovery::FORMAT_COUNTER;
use super::row::{AccountRow, AliasRow, DomainRow, GroupRow, NodeRow, RecoveryRow, TokenId, TokenRow, key};
use crate::codec;
use crate::ids::{AccountId, GroupId, NodeId, UnixMillis};
use crate::key::{Key, number_at};
use crate::limits::ALIAS_DEPTH_MAX;
use crate::txn::{Read, ReadError, prefix_end, scan_prefix};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

fn read<T: DeserializeOwned>(from: &dyn Read, key: &[u8]) -> Result<Option<T>, ReadError> {
    from.get(key)?.map(|value| codec::decode(&value)).transpose()
}

fn read_all<T: DeserializeOwned>(from: &dyn Read, prefix: &[u8]) -> Result<Vec<(Vec<u8>, T)>, ReadError> {
    read_all_with(from, prefix, codec::decode)
}

fn read_all_with<T>(
    from: &dyn Read,
    prefix: &[u8],
    decode: fn(&[u8]) -> Result<T, ReadError>,
) -> Result<Vec<(Vec<u8>, T)>, ReadError> {
    let (mut all, mut failed) = (Vec::new(), None);
    scan_prefix(from, prefix, &mut |key, value| match decode(value) {
        Ok(row) => {
            all.push((key[prefix.len()..].to_vec(), row));
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(all), Err)
}

/// A local domain.
pub fn domain(from: &dyn Read, name: &str) -> Result<Option<DomainRow>, ReadError> {
    read(from, &key::domain(name))
}

/// All local domains by name.
pub fn domains(from: &dyn Read) -> Result<Vec<(String, DomainRow)>, ReadError> {
    let rows = read_all(from, &key::domain(""))?;
    Ok(rows.into_iter().map(|(name, row)| (String::from_utf8_lossy(&name).into_owned(), row)).collect())
}

/// Whether accounts or aliases of a domain exist.
pub fn domain_in_use(from: &dyn Read, name: &str) -> Result<bool, ReadError> {
    let mut used = false;
    for table in [b'a', b'l'] {
        let prefix = Key::table(table).bytes(name.as_bytes()).bytes(b"\0").done();
        scan_prefix(from, &prefix, &mut |_, _| {
            used = true;
            ControlFlow::Break(())
        })?;
    }
    Ok(used)
}

/// The account with exactly this address.
pub fn account_id(from: &dyn Read, address: &str) -> Result<Option<AccountId>, ReadError> {
    Ok(from.get(&key::address(address))?.and_then(|value| number_at(&value, 0)).map(AccountId))
}

/// An account by id.
pub fn account(from: &dyn Read, account: AccountId) -> Result<Option<AccountRow>, ReadError> {
    from.get(&key::account(account))?.map(|value| AccountRow::decode(&value)).transpose()
}

/// An account by exact address.
pub fn account_by_address(from: &dyn Read, address: &str) -> Result<Option<(AccountId, AccountRow)>, ReadError> {
    let Some(id) = account_id(from, address)? else { return Ok(None) };
    Ok(account(from, id)?.map(|row| (id, row)))
}

/// All accounts, oldest first.
pub fn accounts(from: &dyn Read) -> Result<Vec<(AccountId, AccountRow)>, ReadError> {
    let rows = read_all_with(from, b"i", AccountRow::decode)?;
    Ok(rows.into_iter().filter_map(|(id, row)| Some((AccountId(number_at(&id, 0)?), row))).collect())
}

/// Up to `count` accounts with ids above `after`, ascending: a page that costs no more than what is on it.
pub fn accounts_after(
    from: &dyn Read,
    after: AccountId,
    count: usize,
) -> Result<Vec<(AccountId, AccountRow)>, ReadError> {
    let start = key::account(AccountId(after.0.saturating_add(1)));
    let (mut page, mut failed) = (Vec::new(), None);
    from.scan(start.as_slice()..prefix_end(b"i").as_slice(), &mut |key, value| {
        if page.len() == count {
            return ControlFlow::Break(());
        }
        match AccountRow::decode(value) {
            Ok(row) => page.extend(number_at(key, 1).map(|id| (AccountId(id), row))),
            Err(error) => failed = Some(error),
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(page), Err)
}

/// At most `count` accounts by domain and name, those whose address follows `after`.
pub fn accounts_by_address(
    from: &dyn Read,
    after: Option<&str>,
    count: usize,
) -> Result<Vec<(AccountId, AccountRow)>, ReadError> {
    let start = after.map_or_else(|| b"a".to_vec(), |address| [key::address(address), vec![0]].concat());
    let mut ids = Vec::new();
    from.scan(start.as_slice()..prefix_end(b"a").as_slice(), &mut |_, value| {
        ids.extend(number_at(value, 0).map(AccountId));
        if ids.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut page = Vec::with_capacity(ids.len());
    for id in ids {
        page.extend(account(from, id)?.map(|row| (id, row)));
    }
    Ok(page)
}

/// The oldest account that administers; reads the rows of those before it.
pub fn first_admin(from: &dyn Read) -> Result<Option<(AccountId, AccountRow)>, ReadError> {
    const PAGE: usize = 100;
    let mut after = AccountId(0);
    loop {
        let page = accounts_after(from, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        after = *last;
        if let Some(found) = page.into_iter().find(|(_, row)| row.admin) {
            return Ok(Some(found));
        }
    }
}

/// An alias by exact address.
pub fn alias(from: &dyn Read, address: &str) -> Result<Option<AliasRow>, ReadError> {
    read(from, &key::alias(address))
}

/// All aliases, by domain and name.
pub fn aliases(from: &dyn Read) -> Result<Vec<(String, AliasRow)>, ReadError> {
    let rows = read_all(from, b"l")?;
    Ok(rows.into_iter().map(|(key, row)| (address_of(&key), row)).collect())
}

/// Up to `count` aliases behind this one (`None`: from the first), by domain and name.
pub fn aliases_after(from: &dyn Read, after: Option<&str>, count: usize) -> Result<Vec<(String, AliasRow)>, ReadError> {
    let start = after.map_or_else(|| b"l".to_vec(), |address| [key::alias(address), vec![0]].concat());
    let (mut page, mut failed) = (Vec::new(), None);
    from.scan(start.as_slice()..prefix_end(b"l").as_slice(), &mut |key, value| {
        if page.len() == count {
            return ControlFlow::Break(());
        }
        match codec::decode(value) {
            Ok(row) => page.push((address_of(key.get(1..).unwrap_or_default()), row)),
            Err(error) => failed = Some(error),
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(page), Err)
}

/// The address that a key of the tables `a` and `l` stands for, without the table's letter.
fn address_of(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key).into_owned();
    text.split_once('\0').map(|(domain, local)| format!("{local}@{domain}")).unwrap_or(text)
}

/// A node.
pub fn node(from: &dyn Read, node: NodeId) -> Result<Option<NodeRow>, ReadError> {
    from.get(&key::node(node))?.map(|value| NodeRow::decode(&value)).transpose()
}

/// All nodes that ever were, removed ones included, by id.
pub fn nodes(from: &dyn Read) -> Result<BTreeMap<NodeId, NodeRow>, ReadError> {
    let rows = read_all_with(from, &key::nodes(), NodeRow::decode)?;
    Ok(rows.into_iter().filter_map(|(id, row)| Some((NodeId(number_at(&id, 0)?), row))).collect())
}

/// Where the replicas of a group shall be.
pub fn group(from: &dyn Read, group: GroupId) -> Result<Option<GroupRow>, ReadError> {
    read(from, &key::group(group))
}

/// Where the replicas of all groups shall be, by group.
pub fn groups(from: &dyn Read) -> Result<BTreeMap<GroupId, GroupRow>, ReadError> {
    let rows = read_all(from, &key::groups())?;
    let group = |id: &[u8]| id.first_chunk::<4>().map(|bytes| GroupId(u32::from_be_bytes(*bytes)));
    Ok(rows.into_iter().filter_map(|(id, row)| Some((group(&id)?, row))).collect())
}

/// A token.
pub fn token(from: &dyn Read, token: TokenId) -> Result<Option<TokenRow>, ReadError> {
    read(from, &key::token(token))
}

/// All tokens that are remembered, by id.
pub fn tokens(from: &dyn Read) -> Result<Vec<(TokenId, TokenRow)>, ReadError> {
    let rows = read_all(from, &key::tokens())?;
    Ok(rows.into_iter().filter_map(|(id, row)| Some((TokenId::try_from(id).ok()?, row))).collect())
}

/// The last number drawn from a counter, 0 before the first. No replica with an id above `counter("replica")` can be
/// missing from the groups' rows because it was taken away: these rows are too old to know it.
pub fn counter(from: &dyn Read, name: &str) -> Result<u64, ReadError> {
    Ok(from.get(&key::counter(name))?.and_then(|value| number_at(&value, 0)).unwrap_or(0))
}

/// The highest format that every node of the cluster says it speaks.
pub fn common_format(from: &dyn Read) -> Result<u32, ReadError> {
    let members = nodes(from)?.into_values().filter(NodeRow::is_member);
    Ok(members.map(|row| row.facts.format).min().unwrap_or(1))
}

/// The format whose entries may be proposed: each node must speak it to belong to the cluster. Never falls.
pub fn active_format(from: &dyn Read) -> Result<u32, ReadError> {
    let format = counter(from, FORMAT_COUNTER)?.max(1);
    u32::try_from(format).map_err(|_| ReadError("the active format is out of range".into()))
}

/// That the cluster went on with one node; `None` when it never had to.
pub fn recovery(from: &dyn Read) -> Result<Option<RecoveryRow>, ReadError> {
    read(from, &key::recovery())
}

/// Accounts whose mail was in a group that began empty, and when it did, by address.
pub fn accounts_that_lost_mail(from: &dyn Read) -> Result<Vec<(String, UnixMillis)>, ReadError> {
    let Some(RecoveryRow { lost, .. }) = recovery(from)? else { return Ok(Vec::new()) };
    let lost: BTreeMap<GroupId, UnixMillis> = lost.into_iter().collect();
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    let when = |row: &AccountRow| lost.get(&row.shard).copied().filter(|at| row.created_at < *at);
    let mut hit: Vec<_> =
        accounts(from)?.into_iter().filter_map(|(_, row)| when(&row).map(|at| (row.address, at))).collect();
    hit.sort_unstable();
    Ok(hit)
}

/// A cluster-wide setting.
pub fn setting(from: &dyn Read, name: &str) -> Result<Option<String>, ReadError> {
    Ok(from.get(&key::setting(name))?.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// Where mail for an address goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A local mailbox, and the folder its sub-address names.
    Account {
        /// Whose.
        account: AccountId,
        /// The account's own address.
        address: String,
        /// From `user+folder@`.
        folder: Option<String>,
    },
    /// An address outside, reached through an alias or catch-all.
    Outside(String),
}

/// Why an address leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTarget {
    /// The domain is not local.
    NotLocal,
    /// The domain is local, the address is unknown.
    Unknown,
    /// Aliases lead in a circle or too deep.
    Loop,
}

/// Resolves a normalised address: exact account or alias, then without `+folder`, then the domain's catch-all.
/// Targets are unique and sorted.
pub fn resolve(from: &dyn Read, address: &str) -> Result<Result<Vec<Target>, NoTarget>, ReadError> {
    let mut targets = BTreeSet::new();
    let found = resolve_into(from, address, 0, &mut targets)?;
    Ok(match found {
        Err(reason) if targets.is_empty() => Err(reason),
        _ => Ok(targets.into_iter().collect()),
    })
}

fn resolve_into(
    from: &dyn Read,
    address: &str,
    depth: usize,
    targets: &mut BTreeSet<Target>,
) -> Result<Result<(), NoTarget>, ReadError> {
    if depth > ALIAS_DEPTH_MAX {
        return Ok(Err(NoTarget::Loop));
    }
    let Some(domain) = domain(from, domain_of(address))? else {
        if depth == 0 {
            return Ok(Err(NoTarget::NotLocal));
        }
        targets.insert(Target::Outside(address.to_owned()));
        return Ok(Ok(()));
    };
    let (plain, folder) = split_subaddress(address);
    for (address, folder) in [(address, None), (plain.as_str(), folder)] {
        if let Some(account) = account_id(from, address)? {
            targets.insert(Target::Account { account, address: address.to_owned(), folder: folder.map(str::to_owned) });
            return Ok(Ok(()));
        }
        if let Some(alias) = alias(from, address)? {
            return follow(from, &alias.targets, depth, targets);
        }
    }
    match domain.catch_all {
        Some(target) if target != address => follow(from, &[target], depth, targets),
        _ => Ok(Err(NoTarget::Unknown)),
    }
}

fn follow(
    from: &dyn Read,
    next: &[String],
    depth: usize,
    targets: &mut BTreeSet<Target>,
) -> Result<Result<(), NoTarget>, ReadError> {
    let mut result = Err(NoTarget::Unknown);
    for address in next {
        let one = resolve_into(from, address, depth + 1, targets)?;
        result = result.or(one);
    }
    Ok(result)
}

/// `user+folder@domain` as `user@domain` and `folder`.
fn split_subaddress(address: &str) -> (String, Option<&str>) {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    match local.split_once('+') {
        Some((user, folder)) if !user.is_empty() => {
            (format!("{user}@{domain}"), Some(folder).filter(|folder| !folder.is_empty()))
        }
        _ => (address.to_owned(), None),
    }
}
