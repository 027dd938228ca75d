//! Every bound of the replicated state (I9), each with its reason.

/// Shard groups made at first start; never split, accounts move instead.
pub const SHARDS: u32 = 32;
/// Bodies up to this size ride inside the Raft entry: one round trip and one shared sync.
pub const INLINE_BODY_BYTES_MAX: usize = 32 * 1024;
/// A decoded entry or row; several times the largest legitimate one.
pub const ENCODED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Keywords a folder can hold: bits 8 to 63 of its messages' flags.
pub const KEYWORDS_PER_FOLDER_MAX: usize = 56;
/// A keyword's length in bytes.
pub const KEYWORD_BYTES_MAX: usize = 100;
/// A folder's full name, which becomes a directory name on disk (255 bytes after escaping).
pub const FOLDER_NAME_BYTES_MAX: usize = 200;
/// Folders of one account: LIST stays a short scan.
pub const FOLDERS_PER_ACCOUNT_MAX: u64 = 10_000;
/// Subscriptions of one account (they may outlive their folder).
pub const SUBSCRIPTIONS_PER_ACCOUNT_MAX: usize = 10_000;
/// Expunged UIDs remembered per folder for QRESYNC; older clients get a superset instead (RFC 7162 section 3.2.5.2).
pub const VANISHED_PER_FOLDER_MAX: u64 = 100_000;
/// How long an operation id is remembered: longer than any retry.
pub const OPERATION_MEMORY_MS: u64 = 7 * 24 * 3600 * 1000;
/// Old operation ids forgotten per entry, so that no entry pays for many.
pub const OPERATIONS_FORGOTTEN_PER_ENTRY: usize = 8;
/// Rows removed per reaping entry, so that no entry holds a group for long.
pub const REAPED_PER_ENTRY: usize = 1_000;
/// Copies removed per entry that undoes a COPY, for the same reason; fewer, since readers of the folder wait meanwhile.
pub const COPIES_UNDONE_PER_ENTRY: usize = 250;
/// Recipients of one queue message (RFC 5321 section 4.5.3.1.8 asks for at least 100).
pub const RECIPIENTS_MAX: usize = 1_000;
/// Targets of one alias.
pub const ALIAS_TARGETS_MAX: usize = 1_000;
/// Alias to alias steps followed before it counts as a loop.
pub const ALIAS_DEPTH_MAX: usize = 10;
/// An address in bytes: local part 64, domain 255, the sign between (RFC 5321 section 4.5.3.1).
pub const ADDRESS_BYTES_MAX: usize = 320;
/// A remote server's last reply kept per recipient, in bytes.
pub const REPLY_TEXT_BYTES_MAX: usize = 1_000;
/// Nodes of a cluster: each holds the whole directory and a connection to every other.
pub const NODES_MAX: usize = 64;
/// A node's name in bytes: a label of a host name (RFC 1035 section 2.3.4) fits.
pub const NODE_NAME_BYTES_MAX: usize = 64;
/// A node's host name, address and release in bytes each: a domain name (RFC 1035 section 2.3.4) and a port fit.
pub const NODE_TEXT_BYTES_MAX: usize = 270;
/// Replicas of one shard, one that is moving included.
pub const SHARD_REPLICAS_MAX: usize = 7;
/// Invitations that are remembered at a time.
pub const TOKENS_MAX: usize = 256;
/// How long a token is remembered after it ended, so that who comes with it hears why it is refused.
pub const TOKEN_MEMORY_MS: u64 = 7 * 24 * 3600 * 1000;
/// Accounts made by one import entry: a few hundred share one sync, and no entry holds the directory for long.
pub const IMPORTED_PER_ENTRY_MAX: usize = 500;
/// Aliases that one account of an import brings along; more than that are set one by one.
pub const ALIASES_PER_IMPORTED_MAX: usize = 100;
/// The name of an account's owner in bytes.
pub const ACCOUNT_NAME_BYTES_MAX: usize = 256;
/// An imported password hash in bytes: Argon2id with a salt and a hash of 64 bytes each takes 220.
pub const PASSWORD_HASH_BYTES_MAX: usize = 512;
/// The salt of imported SCRAM keys in bytes.
pub const SCRAM_SALT_BYTES_MAX: usize = 64;
