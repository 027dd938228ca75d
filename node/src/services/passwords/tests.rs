//! Logins against rows in memory.

use super::*;
use crate::services::directory::DirectorySource;
use model::directory::{DirectoryCommand, apply};
use model::memory::MemoryTxn;
use model::{Outcome, ReadError};
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
