//! Accounts from another server: checks them, makes them in batches, and gives accounts out for another cluster.
//!
//! Makes entries of the directory only: a session or the first delivery makes the mailbox. The client sends batches, so
//! that one request is one log entry at most.

use super::protocol::{AdminError, AdminReply, AliasItem, ImportItem, ImportOutcome};
use super::service::{AdminService, accepted, refusal_words, unreadable};
use crate::limits::{IMPORT_BATCH_ACCOUNTS_MAX, IMPORT_BATCH_BYTES_MAX, SHARD_COUNT_LIFETIME};
use crate::runtime;
use crate::services::directory::{Directory, normalise_address};
use crate::services::passwords::foreign::{self, Given};
use crate::services::passwords::{Passwords, prepared};
use futures::StreamExt;
use model::directory::import::NewAccount;
use model::directory::row::Credentials;
use model::directory::{DirectoryCommand, domain_of, view};
use model::limits::{ACCOUNT_NAME_BYTES_MAX, ALIASES_PER_IMPORTED_MAX};
use model::{AccountId, GroupId, Imported, Read, ReadError, Refusal, Reply};
use protocols::sasl::Password;
use std::collections::BTreeMap;
use std::time::Instant;

/// The first format whose nodes can read an import.
const FORMAT: u32 = 3;

/// Accounts per shard, so that a batch need not count all of them.
#[derive(Default)]
pub struct ShardCounts(tokio::sync::Mutex<Option<(Instant, BTreeMap<GroupId, u64>)>>);

/// An account that can be made, as far as its own line tells.
pub(crate) struct Checked {
    address: String,
    name: String,
    secret: Secret,
    admin: bool,
    aliases: Vec<String>,
}

enum Secret {
    Password(Password),
    Hash(String),
}

impl Checked {
    /// Its normalised address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its normalised aliases, each once.
    pub(crate) fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// Whether a password is to be hashed.
    pub(crate) fn has_password(&self) -> bool {
        matches!(self.secret, Secret::Password(_))
    }
}

/// What can be said about an account without looking at any other.
///
/// # Errors
/// Says what is wrong with it, and nothing of the password or hash.
pub(crate) fn check_alone(item: &ImportItem) -> Result<Checked, String> {
    let address = normalise_address(&item.address).map_err(|error| error.to_string())?;
    if item.name.len() > ACCOUNT_NAME_BYTES_MAX || item.name.chars().any(char::is_control) {
        return Err(format!("the name is longer than {ACCOUNT_NAME_BYTES_MAX} bytes or has control characters"));
    }
    let secret = match (&item.password, &item.hash) {
        (Some(_), Some(_)) => return Err("there is both a password and a hash".to_owned()),
        (None, None) => return Err("there is neither a password nor a hash".to_owned()),
        (Some(password), None) => Secret::Password(prepared(password).map_err(|error| error.to_string())?),
        (None, Some(hash)) => match foreign::given(hash).map_err(|error| error.to_string())? {
            Given::Plain(password) => Secret::Password(prepared(&password).map_err(|error| error.to_string())?),
            Given::Hash(hash) => Secret::Hash(hash),
        },
    };
    let mut aliases = Vec::new();
    for alias in &item.aliases {
        let alias = normalise_address(alias).map_err(|error| format!("alias {alias:?}: {error}"))?;
        // Postfix's maps often list an address as its own alias.
        if alias != address && !aliases.contains(&alias) {
            aliases.push(alias);
        }
        if aliases.len() > ALIASES_PER_IMPORTED_MAX {
            return Err(format!("more than {ALIASES_PER_IMPORTED_MAX} aliases; set them with: mailnode alias add"));
        }
    }
    Ok(Checked { address, name: item.name.clone(), secret, admin: item.admin, aliases })
}

/// What would become of these accounts. Writes nothing.
pub(super) async fn check(admin: &AdminService, items: &[ImportItem]) -> Result<AdminReply, AdminError> {
    Ok(AdminReply::Imported(checked(admin, items).await?.into_iter().map(|(outcome, _)| outcome).collect()))
}

/// Makes those of these accounts that can be made.
pub(super) async fn import(admin: &AdminService, items: &[ImportItem]) -> Result<AdminReply, AdminError> {
    let mut outcomes = Vec::with_capacity(items.len());
    let mut fresh = Vec::new();
    for (at, (outcome, checked)) in checked(admin, items).await?.into_iter().enumerate() {
        if outcome == ImportOutcome::Made {
            fresh.extend(checked.map(|checked| (at, checked)));
        }
        outcomes.push(outcome);
    }
    let (places, fresh): (Vec<usize>, Vec<Checked>) = fresh.into_iter().unzip();
    for (at, outcome) in places.into_iter().zip(make(admin, fresh).await?) {
        if let Some(place) = outcomes.get_mut(at) {
            *place = outcome;
        }
    }
    Ok(AdminReply::Imported(outcomes))
}

async fn checked(
    admin: &AdminService,
    items: &[ImportItem],
) -> Result<Vec<(ImportOutcome, Option<Checked>)>, AdminError> {
    let bytes: usize = items.iter().map(ImportItem::bytes).sum();
    if items.len() > IMPORT_BATCH_ACCOUNTS_MAX || bytes > IMPORT_BATCH_BYTES_MAX {
        return Err(AdminError::Refused("too many accounts in one request".to_owned()));
    }
    if admin.services.cluster.active_format().await < FORMAT {
        let reason = "every node must run this release before accounts can be imported; see: mailnode node list";
        return Err(AdminError::Refused(reason.to_owned()));
    }
    let directory = &admin.services.directory;
    if !directory.catch_up().await {
        return Err(AdminError::Unavailable("a majority of the nodes is out of reach".to_owned()));
    }
    let outcome = |item: &ImportItem| match check_alone(item) {
        Err(reason) => Ok((ImportOutcome::Wrong(reason), None)),
        Ok(checked) => Ok((standing(directory, &checked)?, Some(checked))),
    };
    items.iter().map(outcome).collect::<Result<_, ReadError>>().map_err(unreadable)
}

/// What the directory says to an account that is to be made.
fn standing(directory: &Directory, new: &Checked) -> Result<ImportOutcome, ReadError> {
    directory.with_rows(|rows| {
        if let Some(reason) = not_local(rows, &new.address)? {
            return Ok(ImportOutcome::Wrong(reason));
        }
        if view::account_id(rows, &new.address)?.is_some() {
            return Ok(ImportOutcome::AlreadyThere);
        }
        if view::alias(rows, &new.address)?.is_some() {
            return Ok(ImportOutcome::Wrong("is an alias already".to_owned()));
        }
        for alias in &new.aliases {
            if let Some(reason) = alias_obstacle(rows, alias, &new.address)? {
                return Ok(ImportOutcome::Wrong(format!("alias {alias}: {reason}")));
            }
        }
        Ok(ImportOutcome::Made)
    })
}

fn alias_obstacle(rows: &dyn Read, alias: &str, target: &str) -> Result<Option<String>, ReadError> {
    if let Some(reason) = not_local(rows, alias)? {
        return Ok(Some(reason));
    }
    if view::account_id(rows, alias)?.is_some() {
        return Ok(Some("is an account already".to_owned()));
    }
    let other = view::alias(rows, alias)?.is_some_and(|row| row.targets != [target]);
    Ok(other.then(|| "leads elsewhere already".to_owned()))
}

fn not_local(rows: &dyn Read, address: &str) -> Result<Option<String>, ReadError> {
    let domain = domain_of(address);
    let local = view::domain(rows, domain)?.is_some();
    Ok((!local).then(|| format!("{domain} is no local domain; see: mailnode domain add")))
}

/// Proposes accounts in one entry.
async fn make(admin: &AdminService, fresh: Vec<Checked>) -> Result<Vec<ImportOutcome>, AdminError> {
    if fresh.is_empty() {
        return Ok(Vec::new());
    }
    let shards = admin.shard_counts.place(&admin.services.directory, fresh.len()).await?;
    let passwords = &admin.services.passwords;
    let derived = fresh.into_iter().zip(shards).map(|(new, shard)| account(passwords, new, shard));
    let derived: Vec<_> = futures::stream::iter(derived).buffered(runtime::processors()).collect().await;
    let accounts: Vec<NewAccount> = derived.into_iter().collect::<Result<_, AdminError>>()?;
    let addresses: Vec<String> = accounts.iter().map(|account| account.address.clone()).collect();
    let reply = admin.try_to_change_directory(DirectoryCommand::ImportAccounts { accounts }).await?;
    let Reply::Imported(results) = accepted(reply)? else {
        return Err(AdminError::Unavailable("the directory gave an unexpected reply".to_owned()));
    };
    let outcome = |(address, result): (String, Imported)| match result {
        Imported::Made(_) => ImportOutcome::Made,
        // Another import of the same file, or an operator, was faster.
        Imported::Refused(Refusal::Exists) if matches!(admin.services.directory.account(&address), Ok(Some(_))) => {
            ImportOutcome::AlreadyThere
        }
        Imported::Refused(Refusal::Exists) => ImportOutcome::Wrong("it or an alias of it exists already".to_owned()),
        Imported::Refused(refusal) => ImportOutcome::Wrong(refusal_words(refusal).to_owned()),
    };
    Ok(addresses.into_iter().zip(results).map(outcome).collect())
}

async fn account(passwords: &Passwords, new: Checked, shard: GroupId) -> Result<NewAccount, AdminError> {
    let Checked { address, name, secret, admin, aliases } = new;
    let credentials = match secret {
        Secret::Hash(hash) => Credentials::foreign(hash),
        Secret::Password(password) => passwords
            .derive_in_turn(password)
            .await
            .map_err(|error| AdminError::Unavailable(format!("{address}: {error}")))?,
    };
    Ok(NewAccount { address, name, shard, credentials, admin, aliases })
}

impl ShardCounts {
    /// Shards for so many new accounts, each time the one with the fewest. Counts all accounts about once a minute.
    async fn place(&self, directory: &Directory, accounts: usize) -> Result<Vec<GroupId>, AdminError> {
        let mut counted = self.0.lock().await;
        if counted.as_ref().is_none_or(|(at, _)| at.elapsed() > SHARD_COUNT_LIFETIME) {
            let directory = directory.clone();
            let count = tokio::task::spawn_blocking(move || directory.with_rows(count)).await;
            let count = count.map_err(|error| AdminError::Unavailable(error.to_string()))?.map_err(unreadable)?;
            *counted = Some((Instant::now(), count));
        }
        let Some((_, counts)) = counted.as_mut() else { return Ok(vec![GroupId(1); accounts]) };
        Ok((0..accounts).map(|_| emptiest(counts)).collect())
    }
}

fn count(rows: &dyn Read) -> Result<BTreeMap<GroupId, u64>, ReadError> {
    let mut counts: BTreeMap<GroupId, u64> = GroupId::shards().map(|shard| (shard, 0)).collect();
    let mut after = AccountId(0);
    loop {
        let page = view::accounts_after(rows, after, IMPORT_BATCH_ACCOUNTS_MAX)?;
        let Some((last, _)) = page.last() else { return Ok(counts) };
        after = *last;
        page.iter().for_each(|(_, row)| *counts.entry(row.shard).or_default() += 1);
    }
}

/// The shard with the fewest accounts, the first of them; one more is counted for it.
fn emptiest(counts: &mut BTreeMap<GroupId, u64>) -> GroupId {
    let emptiest = counts.iter_mut().min_by_key(|(shard, count)| (**count, **shard));
    emptiest.map_or(GroupId(1), |(shard, count)| {
        *count += 1;
        *shard
    })
}

/// Accounts with ids above `after`, in the form in which they can be imported; without their aliases.
pub(super) fn export(admin: &AdminService, after: u64) -> Result<AdminReply, AdminError> {
    let page = |rows: &dyn Read| view::accounts_after(rows, AccountId(after), IMPORT_BATCH_ACCOUNTS_MAX);
    let page = admin.services.directory.with_rows(page).map_err(unreadable)?;
    let next = page.last().map(|(id, _)| id.0);
    let items = page.into_iter().map(|(_, row)| {
        let foreign = row.credentials.is_foreign();
        let hash = row.credentials.argon2;
        ImportItem {
            address: row.address,
            name: row.name,
            password: None,
            hash: Some(if foreign { hash } else { format!("{{ARGON2ID}}{hash}") }),
            aliases: Vec::new(),
            admin: row.admin,
        }
    });
    Ok(AdminReply::Exported { items: items.collect(), next })
}

/// A page of aliases, behind `after`. Those with several targets come without targets: no account can take them along.
pub(super) fn export_aliases(admin: &AdminService, after: Option<&str>) -> Result<AdminReply, AdminError> {
    let page = |rows: &dyn Read| view::aliases_after(rows, after, IMPORT_BATCH_ACCOUNTS_MAX);
    let page = admin.services.directory.with_rows(page).map_err(unreadable)?;
    let items = page.into_iter().map(|(address, row)| {
        let targets = if row.targets.len() == 1 { row.targets } else { Vec::new() };
        AliasItem { address, targets }
    });
    Ok(AdminReply::Aliases(items.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(password: Option<&str>, hash: Option<&str>) -> ImportItem {
        ImportItem {
            address: "Ann@Example.org".into(),
            name: "Ann".into(),
            password: password.map(str::to_owned),
            hash: hash.map(str::to_owned),
            aliases: vec!["A@example.org".into(), "a@EXAMPLE.org".into(), "ann@example.org".into()],
            admin: false,
        }
    }

    #[test]
    fn what_is_right_is_normalised() {
        let checked = check_alone(&item(None, Some("{SSHA}1XLy9pJZ6jlWxSsFNi4DjewXw0Pq7gZ1"))).unwrap();
        assert_eq!((checked.address(), checked.aliases()), ("ann@example.org", &["a@example.org".to_owned()][..]));
        assert!(!checked.has_password());
        assert!(check_alone(&item(None, Some("{PLAIN}secret"))).unwrap().has_password());
        assert!(check_alone(&item(Some("secret"), None)).unwrap().has_password());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (password, hash) in [(Some("secret-word"), Some("{SSHA}x")), (None, None), (Some(""), None)] {
            let error = check_alone(&item(password, hash)).err().unwrap();
            assert!(!error.contains("secret-word"), "{error}");
        }
        for hash in ["secret-word", "{MD5}secret-word", "{SSHA512}secret-word", "{}secret-word", "{x y}secret-word"] {
            let error = check_alone(&item(None, Some(hash))).err().unwrap();
            assert!(!error.contains("secret-word"), "{error}");
        }
        let aliases = (0..=ALIASES_PER_IMPORTED_MAX).map(|n| format!("a{n}@example.org")).collect();
        assert!(check_alone(&ImportItem { aliases, ..item(Some("secret-word"), None) }).is_err());
        assert!(check_alone(&ImportItem { name: "a\nb".into(), ..item(Some("secret-word"), None) }).is_err());
        assert!(!format!("{:?}", item(Some("secret-word"), Some("{PLAIN}secret-word"))).contains("secret-word"));
    }

    #[test]
    fn accounts_are_spread_over_the_shards_with_the_fewest() {
        let mut counts = BTreeMap::from([(GroupId(1), 2), (GroupId(2), 0), (GroupId(3), 1)]);
        let placed: Vec<u32> = (0..6).map(|_| emptiest(&mut counts).0).collect();
        assert_eq!(placed, [2, 2, 3, 1, 2, 3]);
    }
}
