//! What one attempt found out about one recipient, whichever way it was tried. Plain data, no decisions.

use protocols::smtp::EnhancedCode;

/// The state of a recipient after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the mailbox here.
    Delivered,
    /// The next host has taken it. `reports` when that host takes over the duty to report success (RFC 3461 section 5.2.2).
    Relayed {
        /// Whether that host offers DSN.
        reports: bool,
    },
    /// Refused for good.
    Refused,
    /// To be tried again: a 4xx reply, trouble on the way, or nobody knows (I8).
    Later,
}

/// One recipient's result.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipientResult {
    /// Place in `QueueRow::recipients`.
    pub recipient: u32,
    /// How it stands.
    pub verdict: Verdict,
    /// The status for reports (RFC 3463).
    pub status: EnhancedCode,
    /// What a server said, codes included, or what went wrong on the way.
    pub text: String,
    /// The host that said it; `None` when this node did.
    pub host: Option<String>,
}

/// A reason that holds for every recipient of a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// `Refused` or `Later`.
    pub verdict: Verdict,
    /// The status for reports (RFC 3463).
    pub status: EnhancedCode,
    /// In words.
    pub text: String,
    /// The host that said it; `None` when this node did.
    pub host: Option<String>,
}

impl Obstacle {
    /// Something that may go away. `subject` and `detail` are those of RFC 3463.
    pub fn later(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        let status = EnhancedCode::new(4, subject, detail);
        Obstacle { verdict: Verdict::Later, status, text: text.into(), host: None }
    }

    /// Something that will not go away.
    pub fn refused(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        let status = EnhancedCode::new(5, subject, detail);
        Obstacle { verdict: Verdict::Refused, status, text: text.into(), host: None }
    }

    /// The same, said by a host.
    pub fn by(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The result of a recipient it stands in the way of.
    pub fn result(&self, recipient: u32) -> RecipientResult {
        RecipientResult {
            recipient,
            verdict: self.verdict,
            status: self.status,
            text: self.text.clone(),
            host: self.host.clone(),
        }
    }
}
