//! Accounts: made in the directory first, then in their shard; removed in the same order, then reaped. What a crash
//! between the two leaves is healed by sessions (which make a missing mailbox) and by [`reap_orphans`] under the shard's next leader.

use super::protocol::{AccountItem, AdminError, AdminReply, Page};
use super::service::{AdminService, about, address, unreadable};
use crate::ids;
use crate::limits::{ADMIN_PAGE_ITEMS_MAX, ADMIN_PROPOSE_TIMEOUT, REAP_ENTRIES_MAX};
use crate::services::passwords::Passwords;
use crate::services::propose::propose_until;
use chrono::{DateTime, SecondsFormat};
use cluster::{Clock, Cluster, ProposeError};
use model::directory::row::{AccountRow, Credentials};
use model::directory::{DirectoryCommand, view};
use model::mailbox::MailboxCommand;
use model::txn::scan_prefix;
use model::{AccountId, Command, GroupId, Read, ReadError, Reply, UnixMillis, key};
use std::ops::ControlFlow;

pub(super) async fn add(
    admin: &AdminService,
    name: &str,
    password: Option<String>,
    may_administer: bool,
) -> Result<AdminReply, AdminError> {
    let address = address(name)?;
    let (credentials, generated) = derive(password).await?;
    let rows = admin.services.directory.with_rows(view::accounts).map_err(unreadable)?;
    let shard = emptiest_shard(&rows);
    let add = DirectoryCommand::AddAccount { address: address.clone(), shard, credentials, admin: may_administer };
    let Reply::Account(account) = admin.change_directory(add).await.map_err(about(name))? else {
        return Err(AdminError::Unavailable("the directory gave an unexpected reply".to_owned()));
    };
    admin.propose(shard, Command::Mailbox(MailboxCommand::CreateAccount { account, address })).await?;
    Ok(done(generated))
}

pub(super) async fn set_password(
    admin: &AdminService,
    name: &str,
    password: Option<String>,
) -> Result<AdminReply, AdminError> {
    let address = address(name)?;
    let (credentials, generated) = derive(password).await?;
    let command = DirectoryCommand::SetCredentials { address, credentials };
    admin.change_directory(command).await.map_err(about(name))?;
    Ok(done(generated))
}

pub(super) async fn remove(admin: &AdminService, name: &str) -> Result<AdminReply, AdminError> {
    let address = address(name)?;
    let found = admin.services.directory.account(&address).map_err(unreadable)?;
    let Some((account, row)) = found else { return Err(AdminError::Refused(format!("{name}: no such account"))) };
    admin.change_directory(DirectoryCommand::RemoveAccount { address }).await.map_err(about(name))?;
    let services = &admin.services;
    let removed = remove_mailboxes(&services.cluster, &*services.clock, row.shard, account).await;
    removed.map_err(|error| {
        AdminError::Unavailable(format!("removed; its mail goes under the next leader of its shard: {error}"))
    })?;
    Ok(AdminReply::Done)
}

pub(super) fn list(admin: &AdminService, page: &Page) -> Result<AdminReply, AdminError> {
    let look = |rows: &dyn Read| view::accounts_by_address(rows, page.after.as_deref(), ADMIN_PAGE_ITEMS_MAX);
    let rows = admin.services.directory.with_rows(look).map_err(unreadable)?;
    let items = rows.into_iter().map(|(id, row)| AccountItem {
        address: row.address,
        id: id.0,
        shard: row.shard.0,
        admin: row.admin,
        enabled: row.enabled,
        created: time(row.created_at),
        name: row.name,
    });
    Ok(AdminReply::Accounts(items.collect()))
}

/// Removes mailboxes in these groups whose account the directory no longer knows.
///
/// # Errors
/// When a group cannot be read or does not take proposals.
pub async fn reap_orphans(
    cluster: &Cluster,
    clock: &dyn Clock,
    groups: impl IntoIterator<Item = GroupId>,
) -> Result<u64, String> {
    let mut reaped = 0;
    for shard in groups.into_iter().filter(|group| !group.is_directory()) {
        // The shard first: an account is in the directory before it is in its shard.
        let mailboxes = cluster.read(shard).await.map_err(|error| error.to_string())?;
        let directory = cluster.read(GroupId::DIRECTORY).await.map_err(|error| error.to_string())?;
        let looked = tokio::task::spawn_blocking(move || orphans(&mailboxes, &directory)).await;
        let orphans = looked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        for account in orphans {
            remove_mailboxes(cluster, clock, shard, account).await.map_err(|error| error.to_string())?;
            reaped += 1;
        }
    }
    Ok(reaped)
}

fn orphans(mailboxes: &dyn model::Read, directory: &dyn model::Read) -> Result<Vec<AccountId>, ReadError> {
    let mut accounts = Vec::new();
    scan_prefix(mailboxes, b"A", &mut |row, _| {
        accounts.extend(key::number_at(row, 1).map(AccountId));
        ControlFlow::Continue(())
    })?;
    // The directory may be older than the mailboxes then, and they are all that is left of these accounts.
    let kept_upto = view::recovery(directory)?.map_or(0, |recovery| recovery.accounts_upto);
    let mut orphans = Vec::new();
    for account in accounts.into_iter().filter(|account| account.0 > kept_upto) {
        if view::account(directory, account)?.is_none() {
            orphans.push(account);
        }
    }
    Ok(orphans)
}

async fn remove_mailboxes(
    cluster: &Cluster,
    clock: &dyn Clock,
    shard: GroupId,
    account: AccountId,
) -> Result<(), ProposeError> {
    let propose = |command| {
        let operation = ids::operation(clock.now());
        propose_until(cluster, shard, operation, Command::Mailbox(command), ADMIN_PROPOSE_TIMEOUT)
    };
    // Refused only when the shard never had it or removed it before; the reaping tells.
    propose(MailboxCommand::RemoveAccount { account }).await?;
    for _ in 0..REAP_ENTRIES_MAX {
        if propose(MailboxCommand::Reap { account }).await? != (Reply::Reaped { more: true }) {
            break;
        }
    }
    Ok(())
}

/// The shard with the fewest accounts, the first of them.
fn emptiest_shard(accounts: &[(AccountId, AccountRow)]) -> GroupId {
    let count = |shard: GroupId| accounts.iter().filter(|(_, row)| row.shard == shard).count();
    GroupId::shards().min_by_key(|shard| count(*shard)).unwrap_or(GroupId(1))
}

/// What is kept of the password, and the password when it was made here.
async fn derive(password: Option<String>) -> Result<(Credentials, Option<String>), AdminError> {
    let generated = password.is_none().then(generated_password);
    let Some(password) = password.or_else(|| generated.clone()) else {
        return Err(AdminError::Refused("a password is needed".to_owned()));
    };
    let derived = tokio::task::spawn_blocking(move || Passwords::derive(&password)).await;
    let derived = derived.map_err(|error| AdminError::Unavailable(error.to_string()))?;
    Ok((derived.map_err(|error| AdminError::Refused(error.to_string()))?, generated))
}

/// 100 random bits in letters and digits that cannot be mistaken for each other, in groups of five.
pub(crate) fn generated_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 20] = ids::random();
    let letter = |byte: &u8| LETTERS.get(usize::from(*byte & 31)).map_or('a', |letter| char::from(*letter));
    let groups: Vec<String> = random.chunks(5).map(|group| group.iter().map(letter).collect()).collect();
    groups.join("-")
}

fn done(generated: Option<String>) -> AdminReply {
    generated.map_or(AdminReply::Done, AdminReply::Password)
}

/// RFC 3339 in UTC.
pub(super) fn time(at: UnixMillis) -> String {
    let at = i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis);
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_typable_and_differ() {
        let (first, second) = (generated_password(), generated_password());
        assert_eq!(first.len(), 23);
        assert!(first.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit()));
        assert_ne!(first, second);
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(u64::MAX), "");
    }
}
