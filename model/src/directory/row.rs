//! Rows of the directory.

use crate::ids::{GroupId, UnixMillis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A local domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainRow {
    /// When it was added.
    pub created_at: UnixMillis,
    /// Where mail to unknown addresses goes.
    pub catch_all: Option<String>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Its address.
    pub address: String,
    /// Where it lives (placement is explicit).
    pub shard: GroupId,
    /// When it was made.
    pub created_at: UnixMillis,
    /// How its password is checked.
    pub credentials: Credentials,
    /// Whether it may administer.
    pub admin: bool,
    /// Whether it may log in.
    pub enabled: bool,
}

/// A password in forms that cannot be turned back.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// Argon2id in PHC string form.
    pub argon2: String,
    /// Keys for SCRAM-SHA-256 (RFC 5802 section 3).
    pub scram: ScramKeys,
}

/// What a SCRAM server keeps (RFC 5802 section 3).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// Salt.
    pub salt: Vec<u8>,
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Credentials(not shown)")
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ScramKeys(not shown)")
    }
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasRow {
    /// Where its mail goes.
    pub targets: Vec<String>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// The name it says in SMTP and IMAP greetings.
    pub hostname: String,
    /// Its release.
    pub version: String,
}

/// Keys of the directory's tables.
pub mod key {
    use crate::ids::{AccountId, NodeId};
    use crate::key::Key;

    /// `d`: a domain.
    pub fn domain(name: &str) -> Vec<u8> {
        Key::table(b'd').bytes(name.as_bytes()).done()
    }

    /// `a`: an account's id by address. The domain comes first, so that a domain's addresses lie together.
    pub fn address(address: &str) -> Vec<u8> {
        by_domain(b'a', address)
    }

    /// `i`: an account by id.
    pub fn account(account: AccountId) -> Vec<u8> {
        Key::table(b'i').number(account.0).done()
    }

    /// `l`: an alias.
    pub fn alias(address: &str) -> Vec<u8> {
        by_domain(b'l', address)
    }

    /// `n`: a node.
    pub fn node(node: NodeId) -> Vec<u8> {
        Key::table(b'n').number(node.0).done()
    }

    /// `s`: a setting.
    pub fn setting(name: &str) -> Vec<u8> {
        Key::table(b's').bytes(name.as_bytes()).done()
    }

    /// `c`: a counter.
    pub fn counter(name: &str) -> Vec<u8> {
        Key::table(b'c').bytes(name.as_bytes()).done()
    }

    fn by_domain(table: u8, address: &str) -> Vec<u8> {
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        Key::table(table).bytes(domain.as_bytes()).bytes(b"\0").bytes(local.as_bytes()).done()
    }
}
