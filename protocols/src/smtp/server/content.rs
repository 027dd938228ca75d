//! Message content in the server machine: DATA and BDAT octets become chunk events, every bound is kept while they
//! pass, and the result becomes one reply or, in LMTP, one per recipient.

use super::super::data::{DotDecoder, LineChecker, LineFaults};
use super::super::header_peek::HeaderPeek;
use super::super::reply::{EnhancedCode, Reply};
use super::event::{Abort, CloseReason, Event, Verdict};
use super::{ChunkSize, Mode, Server, Service, Step, Transaction, Waiting};
use crate::limits::smtp::{DISCARD_BYTES_MAX, HEADER_BYTES_MAX, HOPS_MAX};
use bytes::Bytes;
use std::collections::VecDeque;

/// A message while it passes. All its checks go on after the first failure, so that the reply depends on the message
/// and not on how it was cut.
pub(super) struct Content {
    recipients: usize,
    bytes: u64,
    bytes_max: u64,
    peek: Option<HeaderPeek>,
    header_fault: Option<Abort>,
    checker: Option<LineChecker>,
    lines: LineFaults,
    /// Set when the driver or the state of the session refuses the message from its beginning.
    refusal: Option<Reply>,
    aborted: bool,
}

/// DATA: content and its dot-stuffing.
pub(super) struct Data {
    content: Box<Content>,
    decoder: DotDecoder,
}

/// BDAT: content and the chunk under way.
pub(super) struct Chunk {
    content: Box<Content>,
    size: ChunkSize,
    remaining: u64,
}

impl Data {
    pub(super) fn into_content(self) -> Content {
        *self.content
    }
}

impl Chunk {
    pub(super) fn into_content(self) -> Content {
        *self.content
    }
}

impl Content {
    /// `checked_lines`: the octets come unencoded and claim to be text.
    pub(super) fn new(recipients: usize, bytes_max: u64, checked_lines: bool) -> Content {
        Content {
            recipients,
            bytes: 0,
            bytes_max,
            peek: Some(HeaderPeek::new()),
            header_fault: None,
            checker: checked_lines.then(LineChecker::default),
            lines: LineFaults::default(),
            refusal: None,
            aborted: false,
        }
    }

    /// Content that is only read to stay in step.
    pub(super) fn unwanted(refusal: Reply) -> Content {
        Content { refusal: Some(refusal), peek: None, ..Content::new(0, u64::MAX, false) }
    }

    /// Tells the driver that nothing more comes, unless it knows.
    pub(super) fn give_up(&self, reason: Abort, events: &mut VecDeque<Event>) {
        if !self.aborted && self.refusal.is_none() {
            events.push_back(Event::DataAbort(reason));
        }
    }

    /// The first fault in a fixed order.
    fn fault(&self) -> Option<Abort> {
        if self.lines.bare {
            Some(Abort::BareLineEnd)
        } else if self.lines.too_long {
            Some(Abort::LineTooLong)
        } else if self.bytes > self.bytes_max {
            Some(Abort::TooBig)
        } else {
            self.header_fault
        }
    }

    /// Takes decoded bytes and what their lines showed.
    fn take(&mut self, bytes: Vec<u8>, lines: LineFaults, events: &mut VecDeque<Event>) {
        self.bytes += bytes.len() as u64;
        self.lines = lines;
        let header_end = self.peek.as_mut().and_then(|peek| peek.feed(&bytes));
        self.check_header();
        if let Some(fault) = self.fault() {
            self.give_up(fault, events);
            self.aborted = true;
        }
        if !self.aborted && self.refusal.is_none() {
            let mut bytes = Bytes::from(bytes);
            if let (Some(end), Some(peek)) = (header_end, &self.peek) {
                push_chunk(bytes.split_to(end), events);
                events.push_back(Event::HeaderEnd(Box::new(peek.facts().clone())));
            }
            push_chunk(bytes, events);
        }
        if header_end.is_some() {
            self.peek = None;
        }
    }

    fn check_header(&mut self) {
        let Some(peek) = &self.peek else { return };
        if peek.facts().received >= HOPS_MAX {
            self.header_fault = Some(Abort::Loop);
        }
        if peek.facts().bytes > HEADER_BYTES_MAX {
            self.header_fault = Some(Abort::HeaderTooBig);
        }
    }

    /// What the whole message, or a chunk of it, is to be refused with.
    fn refusal(&self) -> Option<Reply> {
        self.refusal.clone().or_else(|| self.fault().map(fault_reply))
    }

    /// Whether so much was thrown away that the connection is not worth keeping.
    fn is_flood(&self) -> bool {
        let bound = if self.refusal.is_some() { 0 } else { self.bytes_max };
        (self.aborted || self.refusal.is_some()) && self.bytes > bound.saturating_add(DISCARD_BYTES_MAX)
    }

    /// The last byte is here.
    fn finish(&mut self, events: &mut VecDeque<Event>) {
        if let Some(checker) = &self.checker {
            self.lines = checker.faults(true);
        }
        if let Some(mut peek) = self.peek.take() {
            let facts = Box::new(peek.finish().clone());
            self.peek = Some(peek);
            self.check_header();
            if !self.aborted && self.refusal().is_none() {
                events.push_back(Event::HeaderEnd(facts));
            }
        }
        if let Some(fault) = self.fault() {
            self.give_up(fault, events);
            self.aborted = true;
        }
    }
}

fn push_chunk(bytes: Bytes, events: &mut VecDeque<Event>) {
    if !bytes.is_empty() {
        events.push_back(Event::DataChunk(bytes));
    }
}

fn fault_reply(fault: Abort) -> Reply {
    let (code, enhanced, text) = match fault {
        Abort::BareLineEnd => (554, EnhancedCode::new(5, 5, 2), "Bare CR or LF in the message"),
        Abort::LineTooLong => (554, EnhancedCode::new(5, 6, 0), "A line of the message is too long"),
        Abort::TooBig => (552, EnhancedCode::new(5, 3, 4), "Message too big"),
        Abort::HeaderTooBig => (554, EnhancedCode::new(5, 6, 0), "The header of the message is too big"),
        Abort::Loop => (554, EnhancedCode::new(5, 4, 6), "Too many hops, the message loops"),
        Abort::Reset | Abort::SessionEnd => (451, EnhancedCode::new(4, 3, 0), "Message given up"),
    };
    Reply::new(code, enhanced, text)
}

impl Server {
    pub(super) fn start_decided(&mut self, mut content: Box<Content>, chunk: Option<ChunkSize>, verdict: Verdict) {
        match (verdict, chunk) {
            (Verdict::Refuse(reply), None) => self.refuse(reply),
            (Verdict::Refuse(reply), Some(size)) => {
                content.refusal = Some(reply);
                self.begin_chunk(content, size);
            }
            (Verdict::Accept | Verdict::AcceptWith(_), Some(size)) => self.begin_chunk(content, size),
            (Verdict::Accept | Verdict::AcceptWith(_), None) => {
                self.reply(&Reply::plain(354, "Start mail input; end with <CRLF>.<CRLF>"));
                self.mode = Mode::Data(Box::new(Data { content, decoder: DotDecoder::new() }));
            }
        }
    }

    pub(super) fn begin_chunk(&mut self, content: Box<Content>, size: ChunkSize) {
        self.mode = Mode::Bdat(Box::new(Chunk { content, size, remaining: size.bytes }));
    }

    /// Decodes what is buffered of DATA.
    pub(super) fn read_data(&mut self, mut data: Box<Data>) -> Step {
        let pending = self.input.pending();
        let mut decoded = Vec::with_capacity(pending.len());
        let progress = data.decoder.decode(pending, &mut decoded);
        self.input.consume(progress.consumed);
        data.content.take(decoded, data.decoder.faults(), &mut self.events);
        if progress.ended {
            self.content_complete(*data.content);
        } else if data.content.is_flood() {
            self.end_flood(&data.content);
        } else if progress.consumed == 0 {
            return self.starve(Mode::Data(data));
        } else {
            self.mode = Mode::Data(data);
        }
        Step::Again
    }

    /// Takes what is buffered of a chunk.
    pub(super) fn read_chunk(&mut self, mut chunk: Box<Chunk>) -> Step {
        if chunk.remaining == 0 {
            self.chunk_complete(*chunk);
            return Step::Again;
        }
        let pending = self.input.pending();
        let length = usize::try_from(chunk.remaining).map_or(pending.len(), |left| left.min(pending.len()));
        if length == 0 {
            return self.starve(Mode::Bdat(chunk));
        }
        let bytes = pending.get(..length).unwrap_or_default().to_vec();
        self.input.consume(length);
        chunk.remaining -= length as u64;
        let content = &mut chunk.content;
        if let Some(checker) = &mut content.checker {
            checker.check(&bytes);
        }
        let lines = content.checker.as_ref().map(|checker| checker.faults(false)).unwrap_or_default();
        content.take(bytes, lines, &mut self.events);
        if content.is_flood() {
            self.end_flood(&chunk.content);
        } else {
            self.mode = Mode::Bdat(chunk);
        }
        Step::Again
    }

    fn end_flood(&mut self, content: &Content) {
        let reply = content.refusal().unwrap_or_else(|| fault_reply(Abort::TooBig));
        self.close_with(&reply, CloseReason::OutOfStep);
    }

    fn chunk_complete(&mut self, chunk: Chunk) {
        let Chunk { content, size, .. } = chunk;
        if size.last {
            return self.content_complete(*content);
        }
        match content.refusal() {
            // RFC 3030 section 2: after a failed chunk the transaction is over.
            Some(reply) => self.refuse_content(reply, 1),
            None => {
                let text = format!("{} octets received", size.bytes);
                self.reply(&Reply::new(250, EnhancedCode::new(2, 0, 0), text));
                self.transaction = Transaction::Chunks(content);
                if size.bytes == 0 {
                    self.count_idle_command();
                }
            }
        }
    }

    fn content_complete(&mut self, mut content: Content) {
        content.finish(&mut self.events);
        match content.refusal() {
            Some(reply) => self.refuse_content(reply, content.recipients),
            None => {
                self.events.push_back(Event::DataEnd { bytes: content.bytes });
                self.mode = Mode::Waiting(Waiting::DataEnd { recipients: content.recipients });
            }
        }
    }

    /// RFC 2033 section 4.2: in LMTP each recipient has its own reply, also when all are the same.
    fn refuse_content(&mut self, reply: Reply, recipients: usize) {
        if self.config.service == Service::Lmtp {
            for _ in 1..recipients.max(1) {
                self.reply(&reply);
            }
        }
        if reply.code() == 503 { self.fault(&reply) } else { self.refuse(reply) }
    }

    /// Replies with what the driver decided on the whole message.
    pub(super) fn message_decided(&mut self, recipients: usize, verdicts: Vec<Verdict>) {
        self.session.idle_commands = 0;
        if self.config.service != Service::Lmtp {
            let verdict = verdicts.into_iter().next().unwrap_or_else(no_result);
            return match stored(verdict) {
                Ok(reply) => self.reply(&reply),
                Err(reply) => self.refuse(reply),
            };
        }
        // In LMTP a 421 for one recipient must not swallow the replies for the others, so it does not end the session.
        let verdicts = verdicts.into_iter().chain(std::iter::repeat_with(no_result));
        for verdict in verdicts.take(recipients) {
            let reply = stored(verdict).unwrap_or_else(super::negative);
            self.reply(&reply);
        }
    }
}

fn no_result() -> Verdict {
    Verdict::Refuse(Reply::try_later("No result for this recipient"))
}

/// The reply to a message that was stored, or the refusal.
fn stored(verdict: Verdict) -> Result<Reply, Reply> {
    let text = match verdict {
        Verdict::Accept => "Ok".into(),
        Verdict::AcceptWith(text) => text,
        Verdict::Refuse(reply) => return Err(reply),
    };
    Ok(Reply::new(250, EnhancedCode::new(2, 0, 0), text))
}
