//! Rows of the directory.

use crate::codec;
use crate::ids::{GroupId, NodeId, UnixMillis};
use crate::txn::ReadError;
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
#[derive(Clone, Debug, PartialEq)]
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
    /// The name of its owner; empty when none was given.
    pub name: String,
}

/// An account in format 1, which has no name.
#[derive(Clone, Serialize, Deserialize)]
struct NamelessAccount {
    address: String,
    shard: GroupId,
    created_at: UnixMillis,
    credentials: Credentials,
    admin: bool,
    enabled: bool,
}

impl AccountRow {
    const FORMAT: u8 = 2;
    const FORMAT_WITHOUT_NAME: u8 = 1;

    /// The value of the row: in the first release's format while there is no name.
    pub fn encode(&self) -> Vec<u8> {
        let AccountRow { address, shard, created_at, credentials, admin, enabled, name } = self.clone();
        let nameless = NamelessAccount { address, shard, created_at, credentials, admin, enabled };
        if name.is_empty() {
            codec::encode_as(Self::FORMAT_WITHOUT_NAME, &nameless)
        } else {
            codec::encode_as(Self::FORMAT, &(nameless, name))
        }
    }

    /// Reads both formats.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let (nameless, name): (NamelessAccount, String) = match bytes.first() {
            Some(&Self::FORMAT_WITHOUT_NAME) => (codec::decode_as(Self::FORMAT_WITHOUT_NAME, bytes)?, String::new()),
            _ => codec::decode_as(Self::FORMAT, bytes)?,
        };
        let NamelessAccount { address, shard, created_at, credentials, admin, enabled } = nameless;
        Ok(AccountRow { address, shard, created_at, credentials, admin, enabled, name })
    }
}

/// A password in forms that cannot be turned back: derived by this server, or as it came from another one.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// Argon2id in PHC string form, or a hash of another server in Dovecot's notation `{SCHEME}...`.
    pub argon2: String,
    /// Keys for SCRAM-SHA-256 (RFC 5802 section 3). Empty while the hash is foreign: SCRAM needs keys that only the
    /// password gives, so it works after the first login that sends the password (PLAIN, LOGIN).
    pub scram: ScramKeys,
}

impl Credentials {
    /// A hash of another server in Dovecot's notation `{SCHEME}...`, until the first login gives the password.
    pub fn foreign(hash: String) -> Self {
        let scram = ScramKeys { salt: Vec::new(), iterations: 0, stored_key: [0; 32], server_key: [0; 32] };
        Credentials { argon2: hash, scram }
    }

    /// Whether the hash came from another server. A PHC string begins with `$`, Dovecot's notation with a brace.
    pub fn is_foreign(&self) -> bool {
        self.argon2.starts_with('{')
    }
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

/// What the first release kept of a node, and what it may still propose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeNames {
    /// Its name.
    pub name: String,
    /// The name it says in SMTP and IMAP greetings.
    pub hostname: String,
    /// Its release.
    pub version: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name; no two nodes of a cluster that are not removed have the same.
    pub name: String,
    /// The name it says in SMTP and IMAP greetings.
    pub hostname: String,
    /// Its release.
    pub version: String,
    /// Where the others reach its cluster port, `host:port` (UDP); empty while it is not known.
    pub address: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, RFC 5280 section 4.1). Zeroes while it is not known;
    /// once known it never changes.
    pub key: [u8; 32],
    /// The highest format of entries and messages between nodes that it speaks.
    pub format: u32,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// What it says of itself.
    pub facts: NodeFacts,
    /// What the cluster does with it.
    pub state: NodeState,
}

/// What the cluster does with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// It serves, leads and is given replicas.
    Active,
    /// It keeps its replicas, but leads nothing that another node can lead.
    Draining,
    /// Its replicas go elsewhere; then it is removed.
    Leaving,
    /// It is refused for ever.
    Removed,
}

impl NodeRow {
    const FORMAT: u8 = 2;
    const FORMAT_OF_NAMES: u8 = 1;

    /// A node as the first release knew it: alone, without an address.
    pub fn from_names(names: NodeNames) -> Self {
        let NodeNames { name, hostname, version } = names;
        let facts = NodeFacts { name, hostname, version, format: 1, ..NodeFacts::default() };
        NodeRow { facts, state: NodeState::Active }
    }

    /// What the first release would know of it.
    pub fn names(&self) -> NodeNames {
        let NodeFacts { name, hostname, version, .. } = self.facts.clone();
        NodeNames { name, hostname, version }
    }

    /// Whether it belongs to the cluster.
    pub fn is_member(&self) -> bool {
        self.state != NodeState::Removed
    }

    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_as(Self::FORMAT, self)
    }

    /// Reads a row of any release.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        match bytes.first() {
            Some(&Self::FORMAT_OF_NAMES) => codec::decode(bytes).map(Self::from_names),
            _ => codec::decode_as(Self::FORMAT, bytes),
        }
    }
}

/// Where the replicas of a group shall be. The directory declares it; the group's leader makes it so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Rises with every change, so that a plan made on an older row is refused.
    pub revision: u64,
    /// One replica per node, ascending by replica.
    pub replicas: Vec<ReplicaPlace>,
}

impl GroupRow {
    /// The replica that `node` shall hold.
    pub fn replica_on(&self, node: NodeId) -> Option<u64> {
        self.replicas.iter().find(|place| place.node == node).map(|place| place.replica)
    }

    /// The nodes, in the order of their replicas.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.replicas.iter().map(|place| place.node)
    }
}

/// A replica and its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReplicaPlace {
    /// Drawn from a counter, never reused: a replica that comes back empty under its old id could elect itself.
    pub replica: u64,
    /// Where it is.
    pub node: NodeId,
}

/// Names a token; not secret.
pub type TokenId = [u8; 8];

/// An invitation for one node, for a time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// SHA-256 of the secret; a joiner proves that it knows it.
    pub key: [u8; 32],
    /// From then on it is refused.
    pub expires_at: UnixMillis,
    /// Who came with it.
    pub used_by: Option<NodeId>,
}

impl fmt::Debug for TokenRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TokenRow(until {}, used by {:?})", self.expires_at, self.used_by)
    }
}

/// That the cluster lost its quorum for good and went on with one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRow {
    /// When it last did.
    pub at: UnixMillis,
    /// With which node.
    pub node: NodeId,
    /// Groups that began empty because no copy was left, and when. By group.
    pub lost: Vec<(GroupId, UnixMillis)>,
    /// Mailboxes up to this account id may belong to accounts that only the lost nodes knew: they are not garbage.
    pub accounts_upto: u64,
}

impl Default for RecoveryRow {
    fn default() -> Self {
        RecoveryRow { at: 0, node: NodeId(0), lost: Vec::new(), accounts_upto: 0 }
    }
}

/// Keys of the directory's tables.
pub mod key {
    use super::TokenId;
    use crate::ids::{AccountId, GroupId, NodeId};
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

    /// `n`: the prefix of all nodes.
    pub fn nodes() -> Vec<u8> {
        Key::table(b'n').done()
    }

    /// `g`: where a group's replicas shall be.
    pub fn group(group: GroupId) -> Vec<u8> {
        Key::table(b'g').bytes(&group.0.to_be_bytes()).done()
    }

    /// `g`: the prefix of all groups.
    pub fn groups() -> Vec<u8> {
        Key::table(b'g').done()
    }

    /// `t`: a token by its id.
    pub fn token(token: TokenId) -> Vec<u8> {
        Key::table(b't').bytes(&token).done()
    }

    /// `t`: the prefix of all tokens.
    pub fn tokens() -> Vec<u8> {
        Key::table(b't').done()
    }

    /// `r`: the recovery.
    pub fn recovery() -> Vec<u8> {
        Key::table(b'r').done()
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
