//! Rows of the mail queue.

use crate::body::BodyHash;
use crate::ids::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

/// One accepted message with its envelope (RFC 5321 section 2.3.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Reverse path; empty for the null sender.
    pub sender: String,
    /// RET and ENVID (RFC 3461).
    pub dsn: DsnEnvelope,
    /// What the bytes need on the way.
    pub content: Content,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// When trying ends.
    pub expires_at: UnixMillis,
    /// When to try next.
    pub next_attempt_at: UnixMillis,
    /// Attempts so far.
    pub attempts: u32,
    /// Whether the sender has been told of the delay.
    pub delay_told: bool,
    /// Its bytes; set from the body when it is queued.
    pub hash: BodyHash,
    /// Their number.
    pub size: u64,
    /// Who is trying now.
    pub lease: Option<Lease>,
    /// Whom it is for.
    pub recipients: Vec<QueueRecipient>,
}

impl QueueRow {
    /// When the scheduler must look at it: the end of the lease while there is one.
    pub fn due_at(&self) -> UnixMillis {
        self.lease.as_ref().map_or(self.next_attempt_at, |lease| lease.until)
    }
}

/// Parameters of the envelope that travel on (RFC 3461 section 4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DsnEnvelope {
    /// RET=FULL rather than HDRS; `None` when not given.
    pub return_full: Option<bool>,
    /// ENVID, decoded from xtext.
    pub envelope_id: Option<String>,
}

/// What the next host must be able to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Octets above 127 in the body (RFC 6152).
    pub eight_bit: bool,
    /// Arbitrary octets, no line structure (RFC 3030).
    pub binary: bool,
    /// UTF-8 in addresses or header (RFC 6531).
    pub smtp_utf8: bool,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueRecipient {
    /// Forward path.
    pub address: String,
    /// ORCPT as `type;address`, decoded from xtext (RFC 3461 section 4.2).
    pub original: Option<String>,
    /// NOTIFY (RFC 3461 section 4.1).
    pub notify: Notify,
    /// How it stands.
    pub progress: Progress,
    /// What was last said about it.
    pub last_text: String,
}

/// When the sender wants to hear (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// SUCCESS.
    pub success: bool,
    /// FAILURE.
    pub failure: bool,
    /// DELAY.
    pub delay: bool,
}

impl Default for Notify {
    fn default() -> Self {
        Notify { success: false, failure: true, delay: true }
    }
}

/// How a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// To be tried (again).
    Pending,
    /// Handed over.
    Delivered,
    /// Refused for good or expired; the sender has been told if they want to be.
    Failed,
}

impl Progress {
    /// Whether there is still something to do.
    pub fn is_pending(self) -> bool {
        self == Progress::Pending
    }
}

/// A claim on a queue message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who tries.
    pub holder: NodeId,
    /// Until when nobody else may.
    pub until: UnixMillis,
}
