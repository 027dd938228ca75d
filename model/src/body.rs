//! Bodies: the immutable bytes of messages, named by their BLAKE3 hash. Rows and entries name them; files hold them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// BLAKE3 of a body's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BodyHash(pub [u8; 32]);

impl BodyHash {
    /// Lower-case hexadecimal, 64 characters.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_hex())
    }
}

/// A body as an entry names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRef {
    /// Its name.
    pub hash: BodyHash,
    /// Its length in bytes.
    pub size: u64,
    /// The bytes themselves when they are at most [`crate::limits::INLINE_BODY_BYTES_MAX`];
    /// otherwise the body lies staged on every replica that acknowledged the entry.
    pub inline: Option<Bytes>,
}
