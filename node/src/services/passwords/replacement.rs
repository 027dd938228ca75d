//! Puts our own credentials in the place of a foreign hash after a login that has shown the password. Works behind the
//! login, which neither waits for it nor fails with it: what does not succeed is tried again at the next login.

use super::Passwords;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::directory::row::{AccountRow, Credentials};
use parking_lot::Mutex;
use protocols::sasl::Password;
use std::collections::HashSet;
use std::sync::Arc;

/// Writes credentials in the place of a foreign hash.
pub trait Replacer: Send + Sync + 'static {
    /// Replaces the hash of `address` if it still is `expected`; false when it is not.
    fn replace(
        &self,
        address: String,
        expected: String,
        credentials: Credentials,
    ) -> BoxFuture<'static, Result<bool, String>>;
}

/// Keeps foreign hashes as they are.
pub struct NoReplacer;

impl Replacer for NoReplacer {
    fn replace(&self, _: String, _: String, _: Credentials) -> BoxFuture<'static, Result<bool, String>> {
        std::future::ready(Ok(false)).boxed()
    }
}

/// The replacements of a node.
pub(super) struct Replacements {
    replacer: Arc<dyn Replacer>,
    /// Addresses whose hash is being replaced: a client that opens many sessions at once costs one replacement. Bounded
    /// by the sessions.
    under_way: Mutex<HashSet<String>>,
}

impl Replacements {
    pub(super) fn new(replacer: Arc<dyn Replacer>) -> Replacements {
        Replacements { replacer, under_way: Mutex::default() }
    }
}

impl Passwords {
    /// Begins to replace the foreign hash of `row`, which `password` fits.
    pub(super) fn replace_foreign(&self, row: &AccountRow, password: &Password) {
        let (address, expected) = (row.address.clone(), row.credentials.argon2.clone());
        if !self.shared.replacements.under_way.lock().insert(address.clone()) {
            return;
        }
        let (passwords, password) = (self.clone(), password.clone());
        tokio::spawn(async move {
            let scheme = expected.split_inclusive('}').next().unwrap_or_default().to_owned();
            match passwords.replace_now(address.clone(), expected, password).await {
                Ok(true) => tracing::info!(account = address, scheme, "imported password hash replaced by our own"),
                Ok(false) => tracing::debug!(account = address, scheme, "imported password hash changed meanwhile"),
                Err(error) => {
                    tracing::warn!(account = address, scheme, error, "imported password hash not replaced, will retry");
                }
            }
            passwords.shared.replacements.under_way.lock().remove(&address);
        });
    }

    /// How many replacements are under way.
    #[cfg(test)]
    pub(super) fn replacing(&self) -> usize {
        self.shared.replacements.under_way.lock().len()
    }

    async fn replace_now(&self, address: String, expected: String, password: Password) -> Result<bool, String> {
        let credentials = self.derive_in_turn(password).await.map_err(|error| error.to_string())?;
        self.shared.replacements.replacer.replace(address, expected, credentials).await
    }
}
