//! APPEND (RFC 9051 section 6.3.12) and MULTIAPPEND (RFC 3502): messages stream through to the driver, all or none are
//! kept. Also the way over literals that nobody wants.

use bytes::{Bytes, BytesMut};

use super::{Finish, News};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::parser::append::{AppendMessage, next_message};
use crate::imap::parser::cursor::ParseError;
use crate::imap::parser::framing::LiteralHead;
use crate::imap::store::{Reply, Request, StoreError};
use crate::limits::imap::{APPEND_CHUNK_BYTES_MAX, APPEND_DRAIN_BYTES_MAX, APPEND_MESSAGES_MAX};

/// An APPEND in progress.
pub(crate) struct Append {
    pub tag: String,
    mailbox: String,
    messages: usize,
    /// The store holds messages that have to be committed or aborted.
    begun: bool,
    /// Why the command will fail once the client has sent all of it.
    failure: Option<Finish>,
    state: State,
}

enum State {
    /// The store has been asked whether it takes a message of this literal.
    Asking(LiteralHead),
    /// Bytes of a literal follow, for the store or, after a failure, for nobody.
    Literal { left: u64 },
    /// The rest of the line, up to the next literal or the end.
    Line,
    /// The store has been asked to commit.
    Committing,
}

/// What the session is to do for an APPEND.
pub(crate) enum Next {
    Call(Request),
    Chunk(Bytes),
    MessageEnd,
    /// Abort at the store, if it holds something, and finish.
    Abort(Finish),
    Finish(Finish),
    /// The client cannot be followed any more: finish and close.
    Lost(Finish),
    /// Send a continuation request.
    Continue,
    /// Nothing yet.
    Wait,
}

impl Append {
    /// A literal has come that is a message for `mailbox`.
    pub fn begin(
        core: &Core,
        tag: String,
        mailbox: String,
        message: &AppendMessage,
        head: LiteralHead,
    ) -> (Self, Next) {
        let mut append = Self::new(tag, mailbox, None);
        if !core.authenticated {
            append.failure = Some(Finish::bad("Please log in first"));
        }
        let next = append.literal(core, message, head);
        (append, next)
    }

    /// A literal has come whose command is wrong already.
    pub fn refuse(core: &Core, tag: String, failure: Finish, head: LiteralHead) -> (Self, Next) {
        let mut append = Self::new(tag, String::new(), Some(failure));
        let next = append.literal(core, &AppendMessage::default(), head);
        (append, next)
    }

    fn new(tag: String, mailbox: String, failure: Option<Finish>) -> Self {
        let state = State::Line;
        Self { tag, mailbox, messages: 0, begun: false, failure, state }
    }

    /// Whether [`Append::take`] wants bytes of a literal.
    pub fn in_literal(&self) -> bool {
        matches!(self.state, State::Literal { .. })
    }

    /// Whether the rest of the line is to be read.
    pub fn in_line(&self) -> bool {
        matches!(self.state, State::Line)
    }

    /// Whether the driver has to be told to forget messages.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    fn literal(&mut self, core: &Core, message: &AppendMessage, head: LiteralHead) -> Next {
        self.messages += 1;
        if self.failure.is_none() {
            self.failure = refusal(core, self.messages, head.size_bytes);
        }
        if let Some(failure) = &self.failure {
            return self.drain(failure.clone(), head);
        }
        self.state = State::Asking(head);
        Next::Call(Request::AppendStart {
            mailbox: self.mailbox.clone(),
            flags: message.flags.clone(),
            internaldate: message.internaldate,
            size_bytes: head.size_bytes,
        })
    }

    /// A client that waits for a continuation request is refused at once; from another the literal is taken and
    /// thrown away.
    fn drain(&mut self, failure: Finish, head: LiteralHead) -> Next {
        if head.synchronising {
            return Next::Abort(failure);
        }
        if head.size_bytes > APPEND_DRAIN_BYTES_MAX {
            return Next::Lost(failure);
        }
        self.state = State::Literal { left: head.size_bytes };
        Next::Wait
    }

    /// The store has answered.
    pub fn reply(&mut self, core: &Core, reply: Result<Reply, StoreError>) -> Next {
        match (&self.state, reply) {
            (State::Asking(head), Ok(_)) => {
                let head = *head;
                self.begun = true;
                self.state = State::Literal { left: head.size_bytes };
                if head.synchronising { Next::Continue } else { Next::Wait }
            }
            (State::Asking(head), Err(error)) => {
                let head = *head;
                let failure = Finish::refused_target(error);
                self.failure = Some(failure.clone());
                self.drain(failure, head)
            }
            (_, Ok(Reply::Appended { uidvalidity, uids })) => {
                // RFC 4315 section 3.
                let mut set = Vec::new();
                encode::ranges(&mut set, &uids.into_iter().collect());
                let code = format!("[APPENDUID {uidvalidity} {}]", String::from_utf8_lossy(&set));
                // The target may be the selected mailbox.
                let news = if core.selected.is_some() { News::Ask } else { News::Hold };
                Next::Finish(Finish::ok("APPEND completed").with_code(code).news(news))
            }
            (_, Ok(_)) => Next::Finish(Finish::internal()),
            (_, Err(error)) => Next::Finish(Finish::refused_target(error)),
        }
    }

    /// Takes bytes of the literal.
    pub fn take(&mut self, input: &mut BytesMut) -> Next {
        let State::Literal { left } = &mut self.state else { return Next::Wait };
        if *left == 0 {
            self.state = State::Line;
            return if self.failure.is_none() { Next::MessageEnd } else { Next::Wait };
        }
        let count = input.len().min(APPEND_CHUNK_BYTES_MAX).min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= count as u64;
        let chunk = input.split_to(count);
        if self.failure.is_some() || chunk.is_empty() { Next::Wait } else { Next::Chunk(chunk.freeze()) }
    }

    /// Whether there is something to do without more input.
    pub fn literal_is_over(&self) -> bool {
        matches!(self.state, State::Literal { left: 0 })
    }

    /// The line behind the last message is complete.
    pub fn line_end(&mut self, line: &[u8]) -> Next {
        if let Some(failure) = self.failure.take() {
            return Next::Abort(failure);
        }
        // RFC 6855 section 4: the parenthesis of UTF8 (...).
        if !(line.is_empty() || line == b")") {
            return Next::Abort(Finish::bad("Invalid APPEND arguments"));
        }
        self.state = State::Committing;
        self.begun = false;
        Next::Call(Request::AppendCommit { mailbox: self.mailbox.clone() })
    }

    /// Another literal follows: `before` is what stands between.
    pub fn next_literal(&mut self, core: &Core, before: &[u8], head: LiteralHead) -> Next {
        let before = before.strip_prefix(b")").unwrap_or(before);
        let message = match next_message(before) {
            Ok(message) => message,
            Err(error) => {
                let text = match error {
                    ParseError::Syntax(text) => text,
                    ParseError::BadCharset => "Invalid APPEND arguments",
                };
                self.failure.get_or_insert(Finish::bad(text));
                AppendMessage::default()
            }
        };
        self.literal(core, &message, head)
    }
}

fn refusal(core: &Core, messages: usize, size_bytes: u64) -> Option<Finish> {
    if size_bytes > core.config.append_bytes_max {
        return Some(Finish::refused(StoreError::TooBig));
    }
    if messages > APPEND_MESSAGES_MAX {
        return Some(Finish::refused(StoreError::Limit));
    }
    // RFC 3502 section 6.3.11: a message of no octets cancels the command.
    (size_bytes == 0).then(|| Finish::no("", "Cannot append an empty message"))
}
