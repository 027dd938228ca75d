//! What one attempt found out about one recipient, whichever way it was tried. Plain data, no decisions.

use model::limits::REPLY_TEXT_BYTES_MAX;
use protocols::smtp::{EnhancedCode, Reply};

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
    /// What a host said, or what went wrong on the way in the same form.
    pub reply: Reply,
    /// The host that said it; `None` when this node did.
    pub host: Option<String>,
}

impl RecipientResult {
    /// The status for reports: that of the reply, or the most general one of its class (RFC 3463 section 3.1).
    pub fn status(&self) -> EnhancedCode {
        let class = match self.reply.code() {
            200..=299 => 2,
            500..=599 => 5,
            _ => 4,
        };
        self.reply.enhanced().filter(|enhanced| enhanced.class == class).unwrap_or(EnhancedCode::new(class, 0, 0))
    }
}

/// A reply of a host cut to what a row keeps of it: a thousand long ones must still fit into one report.
pub fn bounded(reply: Reply) -> Reply {
    if reply.text().len() <= REPLY_TEXT_BYTES_MAX {
        return reply;
    }
    let mut end = REPLY_TEXT_BYTES_MAX;
    while !reply.text().is_char_boundary(end) {
        end -= 1;
    }
    let text = reply.text().get(..end).unwrap_or_default().to_owned();
    match reply.enhanced() {
        Some(enhanced) => Reply::new(reply.code(), enhanced, text),
        None => Reply::plain(reply.code(), text),
    }
}

/// A reason that holds for every recipient of a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// `Refused` or `Later`.
    pub verdict: Verdict,
    /// What a host said, or what went wrong in the same form.
    pub reply: Reply,
    /// The host that said it; `None` when this node did.
    pub host: Option<String>,
}

impl Obstacle {
    /// Something that may go away. `subject` and `detail` are those of RFC 3463.
    pub fn later(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        let reply = Reply::new(451, EnhancedCode::new(4, subject, detail), text.into());
        Obstacle { verdict: Verdict::Later, reply, host: None }
    }

    /// Something that will not go away.
    pub fn refused(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        let reply = Reply::new(550, EnhancedCode::new(5, subject, detail), text.into());
        Obstacle { verdict: Verdict::Refused, reply, host: None }
    }

    /// The same, said by a host.
    pub fn by(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The result of a recipient it stands in the way of.
    pub fn result(&self, recipient: u32) -> RecipientResult {
        RecipientResult { recipient, verdict: self.verdict, reply: self.reply.clone(), host: self.host.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_without_a_fitting_enhanced_code_gets_the_general_one() {
        let status = |reply| RecipientResult { recipient: 0, verdict: Verdict::Later, reply, host: None }.status();
        assert_eq!(status(Reply::plain(550, "no")), EnhancedCode::new(5, 0, 0));
        assert_eq!(status(Reply::new(450, EnhancedCode::new(5, 1, 1), "no")), EnhancedCode::new(4, 0, 0));
        assert_eq!(status(Reply::new(451, EnhancedCode::new(4, 7, 1), "grey")), EnhancedCode::new(4, 7, 1));
    }

    #[test]
    fn a_long_reply_is_cut_between_characters_and_keeps_its_codes() {
        let long = Reply::new(550, EnhancedCode::new(5, 7, 1), "é".repeat(REPLY_TEXT_BYTES_MAX));
        let cut = bounded(long);
        assert_eq!((cut.code(), cut.enhanced()), (550, Some(EnhancedCode::new(5, 7, 1))));
        assert_eq!(cut.text().len(), REPLY_TEXT_BYTES_MAX);
        assert_eq!(bounded(Reply::plain(250, "short")), Reply::plain(250, "short"));
    }
}
