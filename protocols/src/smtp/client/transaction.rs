//! One message in the client machine: MAIL, RCPT, DATA or BDAT, and the results.

use super::super::envelope::{Body, Mail, Recipient};
use super::super::reply::{EnhancedCode, Reply};
use super::super::xtext;
use super::extensions::Extensions;
use super::stuffing::DotEncoder;
use super::{Client, Event, Message, Mode, NotAwaited, Outcome, Report, Stage};
use crate::limits::smtp::CLIENT_PIPELINED_RECIPIENTS;
use std::collections::VecDeque;

/// A message under way.
pub(super) struct Sending {
    message: Message,
    /// By recipient; `None` while undecided.
    outcomes: Vec<Option<Outcome>>,
    /// Replies to come in the envelope phase.
    expected: VecDeque<Expected>,
    next_recipient: usize,
    /// Recipients the host accepted, in order; those without result yet.
    accepted: VecDeque<usize>,
    /// `None` when the content goes by BDAT.
    encoder: Option<DotEncoder>,
    data_requested: bool,
    pub(super) phase: Phase,
}

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Replies to RSET, MAIL and RCPT.
    Envelope,
    /// 354.
    DataReply,
    /// Data from the driver.
    Content,
    /// The reply to a chunk that is not the last.
    ChunkReply,
    /// The reply, or in LMTP the replies, to the whole message.
    DataEndReply,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Reset,
    Mail,
    Recipient(usize),
}

impl Sending {
    pub(super) fn stage(&self) -> Stage {
        match (self.phase, self.expected.front()) {
            (Phase::Envelope, Some(Expected::Recipient(_))) => Stage::Recipient,
            (Phase::Envelope, _) => Stage::Mail,
            (Phase::DataReply | Phase::Content | Phase::ChunkReply, _) => Stage::Data,
            (Phase::DataEndReply, _) => Stage::DataEnd,
        }
    }

    /// All results; the undecided ones become `rest`.
    pub(super) fn into_outcomes(self, rest: &Outcome) -> Vec<Outcome> {
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| rest.clone())).collect()
    }

    fn decide(&mut self, recipient: usize, outcome: Outcome) {
        if let Some(slot) = self.outcomes.get_mut(recipient) {
            slot.get_or_insert(outcome);
        }
    }

    fn decide_rest(&mut self, outcome: &Outcome) {
        for slot in &mut self.outcomes {
            slot.get_or_insert_with(|| outcome.clone());
        }
    }
}

impl Client {
    /// Answers [`Event::Ready`] with a message.
    ///
    /// # Errors
    /// [`NotAwaited`] when the client is not ready for one.
    pub fn send(&mut self, message: Message) -> Result<(), NotAwaited> {
        if !matches!(self.mode, Mode::Idle) {
            return Err(NotAwaited);
        }
        self.events.retain(|event| *event != Event::Ready);
        let by_chunks = message.mail.body == Body::Binary;
        let mut sending = Box::new(Sending {
            outcomes: unfit_recipients(&message, &self.extensions),
            message,
            expected: VecDeque::new(),
            next_recipient: 0,
            accepted: VecDeque::new(),
            encoder: (!by_chunks).then(DotEncoder::new),
            data_requested: false,
            phase: Phase::Envelope,
        });
        if sending.outcomes.iter().all(Option::is_some) {
            self.done(*sending);
            return Ok(());
        }
        if std::mem::take(&mut self.needs_reset) {
            self.command("RSET");
            sending.expected.push_back(Expected::Reset);
        }
        let line = mail_line(&sending.message, &self.extensions);
        self.command(&line);
        sending.expected.push_back(Expected::Mail);
        if self.extensions.pipelining {
            self.name_recipients(&mut sending);
        }
        self.mode = Mode::Sending(sending);
        Ok(())
    }

    /// Answers [`Event::NeedData`] with the next bytes of the message.
    ///
    /// # Errors
    /// [`NotAwaited`] when no data was asked for.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), NotAwaited> {
        let sending = content(&mut self.mode)?;
        sending.data_requested = false;
        match &mut sending.encoder {
            Some(encoder) => encoder.encode(bytes, &mut self.output),
            None if bytes.is_empty() => {}
            None => {
                sending.phase = Phase::ChunkReply;
                let line = format!("BDAT {}\r\n", bytes.len());
                self.output.extend_from_slice(line.as_bytes());
                self.output.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    /// Answers [`Event::NeedData`]: all bytes were given.
    ///
    /// # Errors
    /// [`NotAwaited`] when no data was asked for.
    pub fn data_end(&mut self) -> Result<(), NotAwaited> {
        let sending = content(&mut self.mode)?;
        sending.phase = Phase::DataEndReply;
        match sending.encoder.take() {
            Some(encoder) => encoder.finish(&mut self.output),
            None => self.output.extend_from_slice(b"BDAT 0 LAST\r\n"),
        }
        Ok(())
    }

    /// Answers [`Event::NeedData`]: the rest of the message cannot be read. The connection is closed without ending the
    /// data, so the host forgets it (RFC 5321 section 4.1.1.4).
    ///
    /// # Errors
    /// [`NotAwaited`] when no data was asked for.
    pub fn data_failed(&mut self) -> Result<(), NotAwaited> {
        content(&mut self.mode)?;
        let enhanced = EnhancedCode::new(4, 3, 0);
        self.fail(Outcome::broken(Stage::Data, enhanced, "The message could not be read"));
        Ok(())
    }

    /// Asks for data, once per call to `data`.
    pub(super) fn need_data(&mut self) -> Option<Event> {
        let sending = content(&mut self.mode).ok()?;
        (!std::mem::replace(&mut sending.data_requested, true)).then_some(Event::NeedData)
    }

    pub(super) fn transaction_reply(&mut self, mut sending: Box<Sending>, reply: Reply) {
        let good = (200..=299).contains(&reply.code());
        match sending.phase {
            Phase::Envelope => return self.envelope_reply(sending, reply, good),
            Phase::DataReply if reply.code() == 354 => sending.phase = Phase::Content,
            Phase::ChunkReply if good => sending.phase = Phase::Content,
            Phase::DataReply | Phase::ChunkReply => {
                self.needs_reset = true;
                sending.decide_rest(&Outcome::from_reply(Stage::Data, reply));
                return self.done(*sending);
            }
            // A reply in the middle of the data: the host gave up, and the data cannot be ended without sending it all.
            Phase::Content => {
                let outcome = Outcome::from_reply(Stage::Data, reply);
                self.mode = Mode::Sending(sending);
                return self.fail(outcome);
            }
            Phase::DataEndReply => return self.data_end_reply(sending, reply, good),
        }
        self.mode = Mode::Sending(sending);
    }

    fn envelope_reply(&mut self, mut sending: Box<Sending>, reply: Reply, good: bool) {
        match sending.expected.pop_front() {
            Some(Expected::Reset) if !good => {
                let outcome = Outcome::from_reply(Stage::Mail, reply);
                self.mode = Mode::Sending(sending);
                return self.fail(outcome);
            }
            Some(Expected::Mail) if !good => {
                sending.decide_rest(&Outcome::from_reply(Stage::Mail, reply));
                sending.next_recipient = sending.outcomes.len();
            }
            Some(Expected::Recipient(index)) if !good => {
                sending.decide(index, Outcome::from_reply(Stage::Recipient, reply));
            }
            // A host that refused MAIL and took RCPT is confused; the recipient has its result already.
            Some(Expected::Recipient(index)) if sending.outcomes.get(index) == Some(&None) => {
                sending.accepted.push_back(index);
            }
            _ => {}
        }
        if sending.expected.is_empty() {
            self.name_recipients(&mut sending);
        }
        if sending.expected.is_empty() {
            return self.begin_data(sending);
        }
        self.mode = Mode::Sending(sending);
    }

    /// Writes RCPT for the next recipients: some at once with PIPELINING, else one.
    fn name_recipients(&mut self, sending: &mut Sending) {
        let count = if self.extensions.pipelining { CLIENT_PIPELINED_RECIPIENTS } else { 1 };
        let mut named = 0;
        while named < count && sending.next_recipient < sending.outcomes.len() {
            let index = sending.next_recipient;
            sending.next_recipient += 1;
            if let (Some(None), Some(recipient)) = (sending.outcomes.get(index), sending.message.recipients.get(index))
            {
                let line = recipient_line(recipient, &self.extensions);
                self.command(&line);
                sending.expected.push_back(Expected::Recipient(index));
                named += 1;
            }
        }
    }

    fn begin_data(&mut self, mut sending: Box<Sending>) {
        if sending.accepted.is_empty() {
            self.needs_reset = true;
            return self.done(*sending);
        }
        if sending.encoder.is_some() {
            self.command("DATA");
            sending.phase = Phase::DataReply;
        } else {
            sending.phase = Phase::Content;
        }
        self.mode = Mode::Sending(sending);
    }

    fn data_end_reply(&mut self, mut sending: Box<Sending>, reply: Reply, good: bool) {
        let outcome = if good { Outcome::Delivered(reply) } else { Outcome::from_reply(Stage::DataEnd, reply) };
        if self.config.lmtp {
            // RFC 2033 section 4.2: one reply per accepted recipient, in the order of RCPT.
            if let Some(index) = sending.accepted.pop_front() {
                sending.decide(index, outcome);
            }
            if !sending.accepted.is_empty() {
                self.mode = Mode::Sending(sending);
                return;
            }
        } else {
            sending.decide_rest(&outcome);
        }
        self.done(*sending);
    }

    fn done(&mut self, sending: Sending) {
        let report =
            Report { stage: Stage::DataEnd, reply: Reply::try_later("The host gave no result"), from_remote: false };
        self.events.push_back(Event::Done(sending.into_outcomes(&Outcome::TryLater(report))));
        self.become_ready();
    }
}

/// The message whose content is awaited.
fn content(mode: &mut Mode) -> Result<&mut Sending, NotAwaited> {
    match mode {
        Mode::Sending(sending) if sending.phase == Phase::Content => Ok(sending),
        _ => Err(NotAwaited),
    }
}

/// What can be refused without asking the host, by recipient.
fn unfit_recipients(message: &Message, extensions: &Extensions) -> Vec<Option<Outcome>> {
    let mail = &message.mail;
    let all = if extensions.size_max.is_some_and(|size_max| message.bytes > size_max) {
        // RFC 1870 section 6.2.
        let enhanced = EnhancedCode::new(5, 3, 4);
        Some(Outcome::unfit(Stage::Mail, 552, enhanced, "The message is too big for the host"))
    } else if mail.body == Body::Binary && !(extensions.chunking && extensions.binary) {
        // RFC 3030 section 3: without conversion binary content cannot go to such a host.
        let enhanced = EnhancedCode::new(5, 6, 3);
        Some(Outcome::unfit(Stage::Mail, 554, enhanced, "The host takes no binary content"))
    } else if !extensions.smtputf8 && needs_smtputf8(mail) {
        // RFC 6531 section 3.1.
        let enhanced = EnhancedCode::new(5, 6, 7);
        Some(Outcome::unfit(Stage::Mail, 550, enhanced, "The host does not know SMTPUTF8"))
    } else {
        None
    };
    let of_one = |recipient: &Recipient| {
        let unfit = !extensions.smtputf8 && !recipient.address.is_ascii();
        let enhanced = EnhancedCode::new(5, 6, 7);
        let text = "The host does not know SMTPUTF8";
        unfit.then(|| Outcome::unfit(Stage::Recipient, 553, enhanced, text))
    };
    message.recipients.iter().map(|recipient| all.clone().or_else(|| of_one(recipient))).collect()
}

fn needs_smtputf8(mail: &Mail) -> bool {
    mail.smtputf8 || mail.sender.as_ref().is_some_and(|sender| !sender.is_ascii())
}

fn mail_line(message: &Message, extensions: &Extensions) -> String {
    let mail = &message.mail;
    let sender = mail.sender.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut line = format!("MAIL FROM:<{sender}>");
    if extensions.size {
        line.push_str(&format!(" SIZE={}", message.bytes));
    }
    // 8-bit content goes to a host without 8BITMIME as it is: nearly all are clean, and rewriting breaks signatures.
    let named = match mail.body {
        Body::SevenBit => false,
        Body::EightBit => extensions.eight_bit,
        Body::Binary => true,
    };
    if named {
        line.push_str(&format!(" BODY={}", mail.body.keyword()));
    }
    let utf8_recipient = message.recipients.iter().any(|recipient| !recipient.address.is_ascii());
    if extensions.smtputf8 && (needs_smtputf8(mail) || utf8_recipient) {
        line.push_str(" SMTPUTF8");
    }
    if extensions.dsn {
        if let Some(ret) = mail.ret {
            line.push_str(&format!(" RET={}", ret.keyword()));
        }
        if let Some(id) = &mail.envelope_id {
            line.push_str(&format!(" ENVID={}", xtext::encode(id)));
        }
    }
    line
}

fn recipient_line(recipient: &Recipient, extensions: &Extensions) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.address);
    if extensions.dsn {
        if let Some(notify) = recipient.notify {
            line.push_str(&format!(" NOTIFY={notify}"));
        }
        if let Some(original) = &recipient.original {
            let encoded = if original.address_type == "utf-8" {
                xtext::encode_unicode(&original.address)
            } else {
                xtext::encode(&original.address)
            };
            line.push_str(&format!(" ORCPT={};{encoded}", original.address_type));
        }
    }
    line
}
