//! What became of each recipient of a message that was sent to a host, and what the four answers mean.

use super::super::reply::{EnhancedCode, Reply};

/// How far the conversation was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The greeting of the host.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// STARTTLS and the handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA or BDAT before the end of the message.
    Data,
    /// After the end of the message.
    DataEnd,
}

/// Why a recipient has not got the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How far it came.
    pub stage: Stage,
    /// The reply of the host, or one in its style made here.
    pub reply: Reply,
    /// Whether the host said it; otherwise this side did.
    pub from_remote: bool,
}

/// The result for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The host took responsibility (2xx to the end of the message). Never send it again.
    Delivered(Reply),
    /// The host, or this side knowing its extensions, refused for good (5xx). Sending again changes nothing: report it.
    Refused(Report),
    /// Not delivered now (4xx, or the connection failed before the end of the message was sent). Nothing was accepted:
    /// sending again makes no copy.
    TryLater(Report),
    /// The end of the message was sent and no reply came. The host may have it or not; sending again may make a second
    /// copy, not sending may lose it (RFC 1047). RFC 5321 section 4.1.1.4 leaves the client no choice but to send again.
    Unknown(Report),
}

impl Outcome {
    /// Whether the recipient was only one too many for this transaction: send to it in another one at once.
    pub fn is_recipient_surplus(&self) -> bool {
        match self {
            Outcome::TryLater(report) => report.stage == Stage::Recipient && matches!(report.reply.code(), 452 | 552),
            Outcome::Delivered(_) | Outcome::Refused(_) | Outcome::Unknown(_) => false,
        }
    }

    /// What a negative or unexpected reply of the host means.
    pub(super) fn from_reply(stage: Stage, reply: Reply) -> Outcome {
        // RFC 5321 section 4.5.3.1.10: 552 to RCPT means 452.
        let surplus = stage == Stage::Recipient && reply.code() == 552;
        let permanent = reply.is_permanent() && !surplus;
        let report = Report { stage, reply, from_remote: true };
        if permanent { Outcome::Refused(report) } else { Outcome::TryLater(report) }
    }

    /// The connection or the host's part of the protocol broke down.
    pub(super) fn broken(stage: Stage, enhanced: EnhancedCode, text: &'static str) -> Outcome {
        let report = Report { stage, reply: Reply::new(451, enhanced, text), from_remote: false };
        if stage == Stage::DataEnd { Outcome::Unknown(report) } else { Outcome::TryLater(report) }
    }

    /// This side sees that the host cannot take it.
    pub(super) fn unfit(stage: Stage, code: u16, enhanced: EnhancedCode, text: &'static str) -> Outcome {
        let reply = Reply::new(code, enhanced, text);
        Outcome::Refused(Report { stage, reply, from_remote: false })
    }
}
