//! The input side of a session: what the next bytes mean in each phase. Ends in a command to run, a line for an
//! exchange, or a step of an APPEND.

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::{Phase, Session};
use crate::imap::command::append::{self, Append};
use crate::imap::command::{self, Finish, idle};
use crate::imap::output::Output;
use crate::imap::parser::append::{AppendHead, append_head};
use crate::imap::parser::command::{command as parse_command, split_tag};
use crate::imap::parser::cursor::ParseError;
use crate::imap::parser::framing::{Frame, LiteralHead};
use crate::limits::imap::{COMMAND_BYTES_BEFORE_LOGIN_MAX, COMMAND_BYTES_MAX, CONTINUATION_BYTES_MAX};

impl Session {
    /// Whether something was done.
    pub(super) fn take_input(&mut self, input: &mut BytesMut) -> bool {
        match &mut self.phase {
            Phase::Line => self.take_command(input),
            Phase::Idle { .. } | Phase::Sasl { clients_turn: true, .. } => self.take_continuation(input),
            Phase::Append(_) => self.take_append(input),
            Phase::StartTls | Phase::Closing | Phase::Over => {
                input.clear();
                false
            }
            Phase::Command { .. } | Phase::Sasl { .. } | Phase::StartCompress => false,
        }
    }

    fn take_command(&mut self, input: &mut BytesMut) -> bool {
        let bytes_max = self.command_bytes_max();
        match self.framer.take(input, bytes_max) {
            Frame::More => return false,
            Frame::Command => {
                let line = Zeroizing::new(self.framer.take_command());
                self.run_command(&line);
            }
            Frame::Literal(head) => self.literal(head),
            Frame::TooLong { lost } => self.refuse_command(Finish::bad("Command line too long"), lost),
        }
        true
    }

    fn command_bytes_max(&self) -> usize {
        if self.core.authenticated { COMMAND_BYTES_MAX } else { COMMAND_BYTES_BEFORE_LOGIN_MAX }
    }

    fn run_command(&mut self, line: &[u8]) {
        self.commands += 1;
        let (tag, parsed) = match split_tag(line) {
            Ok((tag, mut cursor)) => (tag.to_owned(), parse_command(&mut cursor, self.core.utf8())),
            Err(error) => (String::from("*"), Err(error)),
        };
        self.phase = Phase::Command { tag: tag.clone() };
        let step = match parsed {
            Ok(command) => command::start(&mut self.core, &tag, command),
            Err(error) => refused(error).into(),
        };
        self.step(step);
    }

    /// A literal of the command being read.
    fn literal(&mut self, head: LiteralHead) {
        let before = self.framer.command().get(..head.start).unwrap_or_default();
        match append_head(before, self.core.utf8()) {
            Ok(AppendHead::No) => self.argument_literal(head),
            Ok(AppendHead::Message { tag, mailbox, message }) => {
                self.framer.clear();
                let (append, next) = Append::begin(&self.core, tag, mailbox, &message, head);
                self.phase = Phase::Append(Box::new(append));
                self.append(next);
            }
            Err(error) => {
                let tag = self.tag_so_far();
                self.framer.clear();
                let (append, next) = Append::refuse(&self.core, tag, refused(error), head);
                self.phase = Phase::Append(Box::new(append));
                self.append(next);
            }
        }
    }

    /// An argument as a literal is kept with its command, within the command's bound.
    fn argument_literal(&mut self, head: LiteralHead) {
        let room = self.command_bytes_max().saturating_sub(self.framer.command().len());
        match usize::try_from(head.size_bytes) {
            Ok(size) if size <= room => {
                self.framer.accept_literal(size);
                if head.synchronising {
                    self.core.write("+ OK\r\n");
                }
            }
            // RFC 7888 section 4: a synchronising literal that is refused never comes; another cannot be stopped.
            _ => self.refuse_command(Finish::bad("Literal too large"), !head.synchronising),
        }
    }

    /// Answers a command that was not read whole.
    fn refuse_command(&mut self, finish: Finish, lost: bool) {
        self.phase = Phase::Command { tag: self.tag_so_far() };
        self.framer.clear();
        if lost {
            self.lose(finish);
        } else {
            self.finish(finish);
        }
    }

    fn tag_so_far(&self) -> String {
        split_tag(self.framer.command()).map_or_else(|_| String::from("*"), |(tag, _)| tag.to_owned())
    }

    fn take_continuation(&mut self, input: &mut BytesMut) -> bool {
        let line = match self.framer.take(input, CONTINUATION_BYTES_MAX) {
            Frame::More => return false,
            Frame::Command | Frame::Literal(_) => Zeroizing::new(self.framer.take_command()),
            Frame::TooLong { .. } => {
                self.framer.clear();
                Zeroizing::new(b"too long".to_vec())
            }
        };
        match &mut self.phase {
            Phase::Idle { tag } => {
                let tag = std::mem::take(tag);
                self.queue.push_back(Output::IdleStop);
                self.phase = Phase::Command { tag };
                self.finish(idle::ended(&line));
            }
            Phase::Sasl { exchange, .. } => {
                let turn = exchange.line(&mut self.core, &line);
                self.turn(turn);
            }
            _ => {}
        }
        true
    }

    fn take_append(&mut self, input: &mut BytesMut) -> bool {
        let bytes_max = self.command_bytes_max();
        let Phase::Append(append) = &mut self.phase else { return false };
        let next = if append.in_literal() {
            if input.is_empty() && !append.literal_is_over() {
                return false;
            }
            append.take(input)
        } else if append.in_line() {
            match self.framer.take(input, bytes_max) {
                Frame::More => return false,
                Frame::Command => append.line_end(&self.framer.take_command()),
                Frame::Literal(head) => {
                    let line = self.framer.take_command();
                    append.next_literal(&self.core, line.get(..head.start).unwrap_or_default(), head)
                }
                Frame::TooLong { lost } => {
                    self.framer.clear();
                    let failure = Finish::bad("Command line too long");
                    if lost { append::Next::Lost(failure) } else { append::Next::Abort(failure) }
                }
            }
        } else {
            return false;
        };
        self.append(next);
        true
    }

    pub(super) fn append(&mut self, next: append::Next) {
        match next {
            append::Next::Wait => {}
            append::Next::Continue => self.core.write("+ OK\r\n"),
            append::Next::Call(request) => self.queue.push_back(Output::Call(request)),
            append::Next::Chunk(chunk) => self.queue.push_back(Output::AppendChunk(chunk)),
            append::Next::MessageEnd => self.queue.push_back(Output::AppendEnd),
            append::Next::Finish(finish) => {
                self.leave_append();
                self.finish(finish);
            }
            append::Next::Abort(finish) => {
                self.leave_append();
                self.finish(finish);
            }
            append::Next::Lost(finish) => {
                self.leave_append();
                self.lose(finish);
            }
        }
    }

    /// Aborts what the store holds, if it holds anything.
    pub(super) fn leave_append(&mut self) {
        if let Phase::Append(append) = &mut self.phase {
            if append.is_begun() {
                self.queue.push_back(Output::AppendAbort);
            }
            self.phase = Phase::Command { tag: std::mem::take(&mut append.tag) };
        }
    }
}

fn refused(error: ParseError) -> Finish {
    match error {
        ParseError::Syntax(text) => Finish::bad(text),
        // RFC 9051 section 6.4.4.
        ParseError::BadCharset => Finish::no("[BADCHARSET (US-ASCII UTF-8)]", "Unknown charset"),
    }
}
