//! What a server machine tells its driver and what the driver answers. Types only.

use super::super::envelope::{Envelope, Mail, Recipient};
use super::super::header_peek::HeaderFacts;
use super::super::reply::Reply;
use crate::sasl::{Failure, Password, ScramKeys};
use bytes::Bytes;
use std::borrow::Cow;

/// What the driver has to do next. Events marked "answer" stop the machine until the named method is called.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send these bytes to the client, in order.
    Write(Vec<u8>),
    /// Everything before is sent in plain; now do the TLS handshake and answer with `tls_started` or `tls_failed`.
    StartTls,
    /// Answer with `answer_password`.
    CheckPassword {
        /// The user name, prepared by SASLprep.
        username: String,
        /// The password, prepared by SASLprep.
        password: Password,
    },
    /// Answer with `answer_scram`.
    NeedScram {
        /// The user name, prepared by SASLprep.
        username: String,
    },
    /// A sender. Answer with `answer_mail`.
    CheckMail(Box<Mail>),
    /// A recipient of the sender named before. Answer with `answer_recipient`.
    CheckRecipient(Box<Recipient>),
    /// A message is about to come. Answer with `answer_data_start` when there is a place for it.
    DataStart(Box<Envelope>),
    /// The next bytes of the message, as they are to be stored. Chunks are not empty and not over 32 KiB.
    DataChunk(Bytes),
    /// Once per message: the header section lies in the chunks before, the empty line begins the next one. Fields may be
    /// added here.
    HeaderEnd(Box<HeaderFacts>),
    /// The message is complete and within all bounds. Store it, then answer with `answer_data_end`.
    DataEnd {
        /// Sum of all chunks in bytes.
        bytes: u64,
    },
    /// Forget the message since `DataStart`: it will not be completed. No answer.
    DataAbort(Abort),
    /// Something worth a line in the log. No answer.
    Fact(Fact),
    /// Close the connection. Nothing follows.
    Close(CloseReason),
}

/// Why a message that had begun is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// A bare CR or LF (SMTP smuggling).
    BareLineEnd,
    /// A text line over its bound.
    LineTooLong,
    /// Over the size that was offered.
    TooBig,
    /// The header section is over its bound.
    HeaderTooBig,
    /// Too many Received fields.
    Loop,
    /// The client said RSET, EHLO or something that does not fit between chunks.
    Reset,
    /// The session ends.
    SessionEnd,
}

/// Why the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// The client went away.
    EndOfInput,
    /// The driver said `shutdown`.
    Shutdown,
    /// The driver said `timeout`.
    Timeout,
    /// Errors, refused recipients, failed logins or idle commands are over their bound.
    TooManyErrors,
    /// The beginning of the next command cannot be found any more.
    OutOfStep,
    /// The driver answered with a 421 reply.
    Refused,
    /// The driver said `tls_failed`.
    TlsFailed,
}

/// Facts for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// AUTH succeeded.
    Authenticated {
        /// The proven user name.
        username: String,
    },
    /// AUTH failed.
    AuthenticationFailed(Failure),
    /// Bytes behind STARTTLS were thrown away: a client that pipelines there, or an attack (RFC 3207 section 6).
    PlaintextDiscarded {
        /// How many.
        bytes: usize,
    },
    /// A recipient was refused.
    RecipientRefused {
        /// What the client was told.
        reply: Reply,
    },
}

/// The driver's decision on a sender, a recipient or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Accept,
    /// Yes, with this text in the reply, such as a message id.
    AcceptWith(Cow<'static, str>),
    /// No: a 4xx or 5xx reply. With 421 the session ends.
    Refuse(Reply),
}

/// The driver's decision on a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordVerdict {
    /// It is right.
    Correct,
    /// It is wrong, or there is no such account.
    Wrong,
    /// It cannot be checked now.
    Unavailable,
}

/// The driver's answer to a question for SCRAM keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScramVerdict {
    /// The keys of the account.
    Keys(ScramKeys),
    /// There is no such account, or it has no keys; the exchange fails at its end.
    Unknown,
    /// The directory cannot be asked now.
    Unavailable,
}

/// An answer came that the machine did not ask for; it changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine does not wait for this answer")]
pub struct NotAwaited;
