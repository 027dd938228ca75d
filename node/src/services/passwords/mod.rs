//! Checks passwords and derives what is kept of them. Hashing runs on blocking threads, few at a time; verified results
//! are remembered for a short while under a keyed hash; wrong ones are answered late, and unknown users cost as much.
//! A hash that came from another server is replaced by our own once a login has shown its password.

mod checks;
pub mod foreign;
#[cfg(test)]
mod foreign_tests;
mod replacement;
#[cfg(test)]
mod tests;

pub use replacement::{NoReplacer, Replacer};

use super::directory::Directory;
use crate::ids;
use crate::limits::{
    ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, FAILED_LOGIN_PAUSE, PASSWORD_CHECKS_WAITING_MAX,
    VERIFIED_PASSWORD_LIFETIME, VERIFIED_PASSWORDS_MAX,
};
use crate::metrics::Metrics;
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, Mac};
use model::directory::row::{AccountRow, Credentials, ScramKeys as KeptKeys};
use model::{AccountId, GroupId};
use parking_lot::Mutex;
use protocols::limits::sasl::{SCRAM_ITERATIONS, SCRAM_SALT_BYTES};
use protocols::sasl::{Material, Password, ScramKeys, prepare_password};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// The directory setting that holds the cluster's secret for made-up SCRAM salts, as 64 hexadecimal digits.
pub const FAKE_SALT_SETTING: &str = "sasl-fake-salt-key";

/// The password service. Clones share it.
#[derive(Clone)]
pub struct Passwords {
    shared: Arc<Shared>,
}

struct Shared {
    directory: Directory,
    metrics: Arc<Metrics>,
    fake_salt_key: [u8; 32],
    /// A hash no password fits, checked for unknown users so that they take as long as known ones.
    nobody: String,
    /// Permits for hashing: one per processor.
    hashing: Semaphore,
    /// Permits for waiting for one of those.
    waiting: Semaphore,
    memory_key: [u8; 32],
    verified: Mutex<HashMap<[u8; 32], Instant>>,
    replacements: replacement::Replacements,
}

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// Its address.
    pub address: String,
    /// Where it lives.
    pub shard: GroupId,
    /// Whether it may administer.
    pub admin: bool,
}

/// Why nobody is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No such account, a wrong password, or an account that may not log in: the client learns no more.
    #[error("wrong user name or password")]
    BadCredentials,
    /// Too many checks are waiting, or the directory cannot be read: come back later.
    #[error("passwords cannot be checked now")]
    Unavailable,
}

/// Why a password cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// Empty, too long, or characters that RFC 4013 prohibits.
    #[error("the password is empty, too long or has characters that cannot be used")]
    Unusable,
    /// The hash could not be made.
    #[error("the password could not be hashed")]
    Hash,
}

impl Passwords {
    /// As [`Self::counted`], with counters of its own; foreign hashes stay as they are.
    ///
    /// # Errors
    /// As [`Self::counted`].
    pub fn new(directory: Directory, fake_salt_key: [u8; 32], processors: usize) -> Result<Passwords, DeriveError> {
        Passwords::counted(directory, fake_salt_key, processors, Arc::default(), Arc::new(NoReplacer))
    }

    /// `fake_salt_key` is the cluster's own ([`FAKE_SALT_SETTING`]); `processors` bounds hashes at a time; `replacer`
    /// writes what takes the place of foreign hashes.
    ///
    /// # Errors
    /// When argon2 refuses its parameters.
    pub fn counted(
        directory: Directory,
        fake_salt_key: [u8; 32],
        processors: usize,
        metrics: Arc<Metrics>,
        replacer: Arc<dyn Replacer>,
    ) -> Result<Passwords, DeriveError> {
        let shared = Shared {
            directory,
            metrics,
            fake_salt_key,
            nobody: hash(&ids::random::<32>())?,
            hashing: Semaphore::new(processors.max(1)),
            waiting: Semaphore::new(PASSWORD_CHECKS_WAITING_MAX),
            memory_key: ids::random(),
            verified: Mutex::default(),
            replacements: replacement::Replacements::new(replacer),
        };
        Ok(Passwords { shared: Arc::new(shared) })
    }

    /// Checks a password that SASLprep has prepared ([`prepare_password`]; the SASL machines do). A wrong one is
    /// answered after a pause.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn verify(&self, username: &str, password: &Password) -> Result<Account, AuthError> {
        let first = self.known(username)?;
        if let Some(account) = self.verify_by(first.as_ref(), password).await? {
            return Ok(account);
        }
        // Made, or given a new password, a moment ago on another node?
        let caught_up = self.shared.directory.catch_up().await;
        let second = self.known(username)?;
        if hash_of(second.as_ref()) != hash_of(first.as_ref())
            && let Some(account) = self.verify_by(second.as_ref(), password).await?
        {
            return Ok(account);
        }
        self.shared.metrics.logins_failed.increment();
        tokio::time::sleep(FAILED_LOGIN_PAUSE).await;
        // In a minority nobody knows whether it is wrong: a client must not throw it away (I10).
        Err(if caught_up { AuthError::BadCredentials } else { AuthError::Unavailable })
    }

    /// An account that may log in.
    fn known(&self, username: &str) -> Result<Option<Known>, AuthError> {
        let found = self.shared.directory.account(username).map_err(unreadable)?;
        Ok(found.filter(|(_, row)| row.enabled))
    }

    async fn verify_by(&self, known: Option<&Known>, password: &Password) -> Result<Option<Account>, AuthError> {
        let hash = hash_of(known).unwrap_or(&self.shared.nobody);
        let memory = self.memory_of(hash, password);
        let correct =
            if self.remembers(&memory) { true } else { self.check(hash.to_owned(), password.clone()).await? };
        let Some((id, row)) = known.filter(|_| correct) else { return Ok(None) };
        self.remember(memory);
        self.shared.metrics.logins.increment();
        if row.credentials.is_foreign() {
            self.replace_foreign(row, password);
        }
        Ok(Some(account(*id, row.clone())))
    }

    /// The SCRAM keys of an account that may log in; `None` lets the exchange go on with made-up ones. An account whose
    /// hash came from another server has none: SCRAM works after its first login by PLAIN or LOGIN.
    ///
    /// # Errors
    /// `Unavailable` when the directory cannot be read.
    pub async fn scram_keys(&self, username: &str) -> Result<Option<ScramKeys>, AuthError> {
        // For known and unknown users alike, so that the time tells nothing. In a minority the copy here must do.
        self.shared.directory.catch_up().await;
        Ok(self.known(username)?.filter(|(_, row)| !row.credentials.is_foreign()).map(|(_, row)| {
            let KeptKeys { salt, iterations, stored_key, server_key } = row.credentials.scram;
            ScramKeys { salt, iterations, stored_key, server_key }
        }))
    }

    /// What one SASL exchange needs: fresh randomness and the cluster's secret.
    pub fn material(&self) -> Material {
        Material::new(&ids::random(), self.shared.fake_salt_key)
    }

    /// The cluster's secret for made-up SCRAM salts, for machines that mix their own randomness in.
    pub fn fake_salt_key(&self) -> [u8; 32] {
        self.shared.fake_salt_key
    }

    /// The account of a user that SCRAM has proven.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub fn proven(&self, username: &str) -> Result<Account, AuthError> {
        let (id, row) = self.known(username)?.ok_or(AuthError::BadCredentials)?;
        self.shared.metrics.logins.increment();
        Ok(account(id, row))
    }

    /// What is kept of a password. Takes a processor for tens of milliseconds: not for async workers.
    ///
    /// # Errors
    /// When the password cannot be used.
    pub fn derive(password: &str) -> Result<Credentials, DeriveError> {
        Self::derive_prepared(&prepared(password)?)
    }

    /// As [`Self::derive`], on a blocking thread, when it is this password's turn among logins and imports.
    ///
    /// # Errors
    /// As [`Self::derive`].
    pub async fn derive_in_turn(&self, password: Password) -> Result<Credentials, DeriveError> {
        let _hashing = self.shared.hashing.acquire().await.map_err(|_| DeriveError::Hash)?;
        let derived = tokio::task::spawn_blocking(move || Self::derive_prepared(&password)).await;
        derived.map_err(|_| DeriveError::Hash)?
    }

    fn derive_prepared(prepared: &Password) -> Result<Credentials, DeriveError> {
        let salt: [u8; SCRAM_SALT_BYTES] = ids::random();
        let keys = ScramKeys::derive(prepared, &salt, SCRAM_ITERATIONS).map_err(|_| DeriveError::Hash)?;
        let ScramKeys { salt, iterations, stored_key, server_key } = keys;
        let scram = KeptKeys { salt, iterations, stored_key, server_key };
        Ok(Credentials { argon2: hash(prepared.as_bytes())?, scram })
    }

    async fn check(&self, hash: String, password: Password) -> Result<bool, AuthError> {
        let _waiting = self.shared.waiting.try_acquire().map_err(|_| AuthError::Unavailable)?;
        let _hashing = self.shared.hashing.acquire().await.map_err(|_| AuthError::Unavailable)?;
        let check = tokio::task::spawn_blocking(move || checks::fits(password.as_bytes(), &hash));
        check.await.map_err(|_| AuthError::Unavailable)
    }

    /// The name under which a verified password is remembered; the kept hash is in it, so a changed password forgets.
    fn memory_of(&self, hash: &str, password: &Password) -> [u8; 32] {
        keyed(&self.shared.memory_key, &[hash.as_bytes(), b"\0", password.as_bytes()])
    }

    fn remembers(&self, memory: &[u8; 32]) -> bool {
        let mut verified = self.shared.verified.lock();
        match verified.get(memory) {
            Some(at) if at.elapsed() < VERIFIED_PASSWORD_LIFETIME => true,
            Some(_) => {
                verified.remove(memory);
                false
            }
            None => false,
        }
    }

    /// Keeps the time of the first check, so that even a busy client's password is hashed again now and then.
    fn remember(&self, memory: [u8; 32]) {
        let mut verified = self.shared.verified.lock();
        if verified.len() >= VERIFIED_PASSWORDS_MAX {
            verified.clear();
        }
        verified.entry(memory).or_insert_with(Instant::now);
    }
}

/// A password as SASLprep makes it.
///
/// # Errors
/// When it cannot be used.
pub fn prepared(password: &str) -> Result<Password, DeriveError> {
    prepare_password(password).map_err(|_| DeriveError::Unusable)
}

type Known = (AccountId, AccountRow);

fn hash_of(known: Option<&Known>) -> Option<&str> {
    known.map(|(_, row)| row.credentials.argon2.as_str())
}

fn account(id: AccountId, row: AccountRow) -> Account {
    Account { id, address: row.address, shard: row.shard, admin: row.admin }
}

fn unreadable(error: model::ReadError) -> AuthError {
    tracing::error!(%error, "login: the directory cannot be read");
    AuthError::Unavailable
}

fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length; the error type exists for other MACs.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return ids::random() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hash(password: &[u8]) -> Result<String, DeriveError> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None).map_err(|_| DeriveError::Hash)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt: [u8; 16] = ids::random();
    Ok(argon2.hash_password_with_salt(password, &salt).map_err(|_| DeriveError::Hash)?.to_string())
}
