//! Bounds of the SASL exchanges, shared by every protocol that authenticates.

/// Longest decoded client message in bytes. RFC 4616 section 2 asks for 255 octets in each of three fields;
/// SCRAM messages with a long name and nonce stay below 2 KiB.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Longest user name or authorisation identity in bytes: an address of RFC 5321 section 4.5.3.1 is at most 320.
pub const NAME_BYTES_MAX: usize = 320;

/// Longest password in bytes: well above any passphrase, low enough that hashing it costs nothing.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Longest client nonce in bytes: implementations send 18 to 64.
pub const NONCE_BYTES_MAX: usize = 512;

/// PBKDF2 rounds of new SCRAM keys. RFC 7677 section 4 demands at least 4096; more costs the client time at each login.
pub const SCRAM_ITERATIONS: u32 = 10_000;

/// Most PBKDF2 rounds a derivation accepts, so that a damaged record cannot occupy a processor for minutes.
pub const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;

/// Bytes of salt in new SCRAM keys and in the made-up keys of unknown users, which must look alike.
pub const SCRAM_SALT_BYTES: usize = 16;
