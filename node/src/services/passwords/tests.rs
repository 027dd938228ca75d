//! Logins against rows in memory.

use super::*;
use crate::services::directory::DirectorySource;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::directory::import::NewAccount;
use model::directory::{DirectoryCommand, apply, view};
use model::memory::MemoryTxn;
use model::{Outcome, ReadError, Reply};
use std::sync::atomic::{AtomicBool, Ordering};

struct Rows(MemoryTxn);

impl DirectorySource for Rows {
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
        Ok(Box::new(self.0.clone()))
    }
}

fn rows(secret: &str) -> MemoryTxn {
    let mut rows = MemoryTxn::new();
    let credentials = Passwords::derive(secret).unwrap();
    let address = "ann@example.org".to_owned();
    for command in [
        DirectoryCommand::AddDomain { name: "example.org".into() },
        DirectoryCommand::AddAccount { address, shard: GroupId(3), credentials, admin: true },
    ] {
        apply(&mut rows, 1, &command, &mut Outcome::default()).unwrap();
    }
    rows
}

fn passwords() -> Passwords {
    Passwords::new(Directory::new(Rows(rows("correct horse"))), [1; 32], 2).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_right_password_logs_in_and_is_remembered() {
    let passwords = passwords();
    let account = passwords.verify("Ann@Example.org", &password("correct horse")).await.unwrap();
    assert_eq!((account.id, account.shard, account.admin), (AccountId(1), GroupId(3), true));
    assert_eq!(passwords.shared.verified.lock().len(), 1);
    assert_eq!(passwords.verify("ann@example.org", &password("correct horse")).await, Ok(account));
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_and_unknown_users_get_the_same_answer_and_are_not_remembered() {
    let passwords = passwords();
    for (user, secret) in [("ann@example.org", "wrong"), ("bob@example.org", "correct horse"), ("ann", "")] {
        assert_eq!(passwords.verify(user, &password(secret)).await, Err(AuthError::BadCredentials), "{user}");
    }
    assert!(passwords.shared.verified.lock().is_empty());
}

/// A copy of the directory that is behind until it is asked to catch up.
struct Behind {
    before: MemoryTxn,
    after: MemoryTxn,
    caught_up: AtomicBool,
    can: bool,
}

impl DirectorySource for Behind {
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
        let rows = if self.caught_up.load(Ordering::Relaxed) { &self.after } else { &self.before };
        Ok(Box::new(rows.clone()))
    }

    fn catch_up(&self) -> futures::future::BoxFuture<'_, bool> {
        self.caught_up.store(self.can, Ordering::Relaxed);
        Box::pin(std::future::ready(self.can))
    }
}

fn behind(before: MemoryTxn, can: bool) -> Passwords {
    let source = Behind { before, after: rows("new password"), caught_up: AtomicBool::new(false), can };
    Passwords::new(Directory::new(source), [1; 32], 2).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_on_another_node_a_moment_ago_is_known_before_a_login_fails() {
    for before in [MemoryTxn::new(), rows("old password")] {
        let passwords = behind(before.clone(), true);
        assert!(passwords.verify("ann@example.org", &password("new password")).await.is_ok());
        assert!(behind(before.clone(), true).scram_keys("ann@example.org").await.unwrap().is_some());
        let minority = behind(before, false);
        let refused = minority.verify("ann@example.org", &password("new password")).await;
        assert_eq!(refused, Err(AuthError::Unavailable));
    }
}

#[tokio::test]
async fn over_the_bound_of_waiting_checks_logins_are_put_off() {
    let passwords = passwords();
    let _all = passwords.shared.waiting.acquire_many(PASSWORD_CHECKS_WAITING_MAX as u32).await.unwrap();
    assert_eq!(passwords.verify("ann@example.org", &password("wrong")).await, Err(AuthError::Unavailable));
}

#[tokio::test]
async fn scram_keys_are_those_of_the_password() {
    let keys = passwords().scram_keys("ann@example.org").await.unwrap().unwrap();
    let again = ScramKeys::derive(&password("correct horse"), &keys.salt, keys.iterations).unwrap();
    assert!(keys == again);
    assert!(passwords().scram_keys("bob@example.org").await.unwrap().is_none());
    assert_eq!(Passwords::derive("").err(), Some(DeriveError::Unusable));
}

/// Rows that a replacement can change.
#[derive(Clone)]
struct Shared(Arc<Mutex<MemoryTxn>>);

impl DirectorySource for Shared {
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
        Ok(Box::new(self.0.lock().clone()))
    }
}

impl Replacer for Shared {
    fn replace(&self, address: String, expected: String, credentials: Credentials) -> BoxFuture<'static, Replaced> {
        let command = DirectoryCommand::ReplaceHash { address, expected, credentials };
        let reply = apply(&mut *self.0.lock(), 2, &command, &mut Outcome::default()).unwrap();
        std::future::ready(Ok(reply == Reply::Done)).boxed()
    }
}

type Replaced = Result<bool, String>;

/// Fails a number of times, then replaces.
struct Failing {
    times: Mutex<u32>,
    then: Shared,
}

impl Replacer for Failing {
    fn replace(&self, address: String, expected: String, credentials: Credentials) -> BoxFuture<'static, Replaced> {
        let mut times = self.times.lock();
        if *times > 0 {
            *times -= 1;
            return std::future::ready(Err("no leader".to_owned())).boxed();
        }
        self.then.replace(address, expected, credentials)
    }
}

const FOREIGN: &str = "{SSHA256}+JBYd8ojyy2jRAjZQ9exp/inPKkINnCE5vf6gEOIHFK7MV3i";
const SECRET: &str = "Geheim-ä 1";

fn imported() -> Shared {
    let mut rows = MemoryTxn::new();
    let new = NewAccount {
        address: "ann@example.org".into(),
        name: "Ann".into(),
        shard: GroupId(3),
        credentials: Credentials::foreign(FOREIGN.into()),
        admin: false,
        aliases: Vec::new(),
    };
    for command in [
        DirectoryCommand::AddDomain { name: "example.org".into() },
        DirectoryCommand::ImportAccounts { accounts: vec![new] },
    ] {
        apply(&mut rows, 1, &command, &mut Outcome::default()).unwrap();
    }
    Shared(Arc::new(Mutex::new(rows)))
}

impl Shared {
    fn credentials(&self) -> Credentials {
        let rows = self.0.lock();
        view::account_by_address(&*rows, "ann@example.org").unwrap().unwrap().1.credentials
    }
}

fn passwords_over(rows: &Shared, replacer: impl Replacer) -> Passwords {
    let directory = Directory::new(rows.clone());
    Passwords::counted(directory, [1; 32], 2, Arc::default(), Arc::new(replacer)).unwrap()
}

/// Waits until no replacement is under way.
async fn settled(passwords: &Passwords) {
    while passwords.replacing() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_first_login_replaces_a_foreign_hash_and_scram_works_from_then_on() {
    let rows = imported();
    let passwords = passwords_over(&rows, rows.clone());
    assert!(passwords.scram_keys("ann@example.org").await.unwrap().is_none(), "as for an unknown user");
    assert_eq!(passwords.verify("ann@example.org", &password("wrong")).await, Err(AuthError::BadCredentials));
    settled(&passwords).await;
    assert!(rows.credentials().argon2 == FOREIGN, "a wrong password replaces nothing");

    passwords.verify("ann@example.org", &password(SECRET)).await.unwrap();
    settled(&passwords).await;
    assert!(rows.credentials().argon2.starts_with("$argon2id$"));
    let keys = passwords.scram_keys("ann@example.org").await.unwrap().unwrap();
    assert!(keys == ScramKeys::derive(&password(SECRET), &keys.salt, keys.iterations).unwrap());
    passwords.verify("ann@example.org", &password(SECRET)).await.unwrap();
    assert_eq!(passwords.verify("ann@example.org", &password("wrong")).await, Err(AuthError::BadCredentials));
}

#[tokio::test]
async fn a_password_that_was_changed_meanwhile_is_kept() {
    let rows = imported();
    let changed = Passwords::derive("changed").unwrap();
    let command = DirectoryCommand::SetCredentials { address: "ann@example.org".into(), credentials: changed.clone() };
    apply(&mut *rows.0.lock(), 2, &command, &mut Outcome::default()).unwrap();
    let ours = Passwords::derive(SECRET).unwrap();
    assert_eq!(rows.replace("ann@example.org".into(), FOREIGN.into(), ours).await, Ok(false));
    assert!(rows.credentials() == changed);
}

#[tokio::test]
async fn a_login_does_not_fail_with_its_replacement_and_the_next_one_tries_again() {
    let rows = imported();
    let passwords = passwords_over(&rows, Failing { times: Mutex::new(1), then: rows.clone() });
    passwords.verify("ann@example.org", &password(SECRET)).await.unwrap();
    settled(&passwords).await;
    assert!(rows.credentials().is_foreign());
    passwords.verify("ann@example.org", &password(SECRET)).await.unwrap();
    settled(&passwords).await;
    assert!(!rows.credentials().is_foreign());
}
