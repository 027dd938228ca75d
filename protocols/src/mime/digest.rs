//! What a node keeps about one message so that most requests need not touch its file: one small record.
//! Made by the scanner; which codec stores it is the caller's choice.

use serde::{Deserialize, Serialize};

use super::date::SentDate;
use super::envelope::Envelope;
use super::structure::Structure;

/// The cached views of one message. A reader that finds another `version` scans the message again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// [`Digest::VERSION`] when made by this code.
    pub version: u8,
    /// Octets of the whole message.
    pub size: u64,
    /// The Date field, when it can be read.
    pub sent_date: Option<SentDate>,
    /// The message's envelope.
    pub envelope: Envelope,
    /// The MIME tree. Stands last so that [`DigestSummary`] is a prefix of the record.
    pub structure: Structure,
}

/// The first fields of a [`Digest`], in the same order: in a codec without field names (bincode) a stored digest
/// decodes as a summary too, which spares the tree when only the envelope is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestSummary {
    /// As in [`Digest`].
    pub version: u8,
    /// As in [`Digest`].
    pub size: u64,
    /// As in [`Digest`].
    pub sent_date: Option<SentDate>,
    /// As in [`Digest`].
    pub envelope: Envelope,
}

impl Digest {
    /// Raised whenever the meaning or the order of a stored field changes.
    pub const VERSION: u8 = 1;

    /// Whether this record was made by this version of the code.
    pub fn is_current(&self) -> bool {
        self.version == Self::VERSION
    }
}
