//! The server machine of SMTP (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033): bytes and decisions in, [`Event`]s
//! out. It must not know sockets, clocks, the directory or storage, and never holds a message.
//!
//! A driver loops: call [`Server::poll`] until it returns `None`, doing what each event asks and answering those that
//! want an answer; then, while [`Server::wants_input`], read from the socket and hand the bytes to
//! [`Server::handle_input`], keeping those that were not taken. The same bytes give the same replies however they are cut.

mod auth;
mod commands;
mod config;
mod content;
mod event;

pub use config::{AuthMaterial, Config, Service, Tls};
pub use event::{Abort, CloseReason, Event, Fact, NotAwaited, PasswordVerdict, ScramVerdict, Verdict};

use super::envelope::{Envelope, Mail, Recipient, TlsInfo, Transport};
use super::input::Input;
use super::reply::{EnhancedCode, Reply};
use crate::limits::smtp::{AUTH_FAILURES_MAX, ERRORS_MAX, IDLE_COMMANDS_MAX, OUTPUT_BYTES_MAX, REFUSED_RECIPIENTS_MAX};
use crate::sasl;
use content::{Chunk, Content};
use std::collections::VecDeque;

/// One session with one client.
pub struct Server {
    config: Config,
    input: Input,
    input_ended: bool,
    output: Vec<u8>,
    /// A reply that must not wait for others is in the output (RFC 2920 section 3.2).
    send_now: bool,
    events: VecDeque<Event>,
    mode: Mode,
    session: Session,
    transaction: Transaction,
    stopping: bool,
}

/// What outlives a transaction.
#[derive(Default)]
struct Session {
    helo: Option<String>,
    extended: bool,
    authenticated: Option<String>,
    errors: u32,
    refused_recipients: u32,
    idle_commands: u32,
    auth_exchanges: u32,
    auth_failures: u32,
}

/// What the machine does with its next input.
enum Mode {
    /// Reads command lines.
    Commands,
    /// Drops the rest of a line over its bound, then replies.
    SkipLine(Reply),
    /// Waits for an answer of the driver.
    Waiting(Waiting),
    /// Reads the client's next line of an AUTH exchange.
    Sasl(Box<sasl::Server>),
    /// Waits for the TLS handshake; bytes that came in the plain behind STARTTLS are counted and thrown away.
    StartTls { discarded: usize },
    /// Reads message data up to the final dot.
    Data(Box<content::Data>),
    /// Reads the octets of a chunk.
    Bdat(Box<Chunk>),
    /// Is over.
    Closed,
}

/// Which answer of the driver is awaited.
enum Waiting {
    Mail(Box<Mail>),
    Recipient(Box<Recipient>),
    Password(Box<sasl::Server>),
    Scram(Box<sasl::Server>),
    /// DATA, or BDAT with its first chunk.
    DataStart(Box<Content>, Option<ChunkSize>),
    DataEnd {
        recipients: usize,
    },
}

/// The argument of BDAT.
#[derive(Debug, Clone, Copy)]
struct ChunkSize {
    bytes: u64,
    last: bool,
}

/// The mail transaction of RFC 5321 section 3.3.
enum Transaction {
    None,
    /// MAIL was accepted; recipients gather.
    Envelope(Box<Envelope>),
    /// BDAT chunks arrived and the last is not among them.
    Chunks(Box<Content>),
}

/// Whether [`Server::step`] got anywhere.
enum Step {
    Again,
    NeedInput,
    NeedAnswer,
}

impl Server {
    /// Begins a session; the greeting is the first event.
    pub fn new(config: Config) -> Server {
        let protocol = if config.service == Service::Lmtp { "LMTP" } else { "ESMTP" };
        let greeting = Reply::plain(220, format!("{} {protocol} ready", config.hostname));
        let mut server = Server {
            config,
            input: Input::default(),
            input_ended: false,
            output: Vec::new(),
            send_now: false,
            events: VecDeque::new(),
            mode: Mode::Commands,
            session: Session::default(),
            transaction: Transaction::None,
            stopping: false,
        };
        server.reply(&greeting);
        server
    }

    /// The next thing to do; `None` when an answer or more input is needed.
    pub fn poll(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.output.len() >= OUTPUT_BYTES_MAX || (self.send_now && !self.output.is_empty()) {
                return Some(self.take_output());
            }
            match self.step() {
                Step::Again => {}
                // RFC 2920 section 3.2: replies to a group of commands gather and leave as a unit.
                Step::NeedInput if !self.output.is_empty() => return Some(self.take_output()),
                Step::NeedInput | Step::NeedAnswer => return None,
            }
        }
    }

    /// Takes bytes from the client and returns how many; the driver keeps the rest and offers it again after `poll`.
    /// Bytes in the plain behind STARTTLS are taken and thrown away.
    pub fn handle_input(&mut self, bytes: &[u8]) -> usize {
        match &mut self.mode {
            Mode::Closed => bytes.len(),
            Mode::StartTls { discarded } => {
                *discarded += bytes.len();
                bytes.len()
            }
            _ => self.input.push(bytes),
        }
    }

    /// Whether reading from the socket makes sense now. False while an answer is awaited: that is the back-pressure.
    pub fn wants_input(&self) -> bool {
        !self.input_ended
            && !self.input.is_full()
            && !matches!(self.mode, Mode::Waiting(_) | Mode::StartTls { .. } | Mode::Closed)
    }

    /// The client closed its side: complete commands are still served, then the session ends.
    pub fn handle_end_of_input(&mut self) {
        self.input_ended = true;
    }

    /// Ends the session with 421 at the next safe point: not while a message is coming in or waits for its result.
    pub fn shutdown(&mut self) {
        self.stopping = true;
    }

    /// The client was silent for too long ([`crate::limits::smtp::SERVER_TIMEOUT`]). Does nothing while the machine waits
    /// for the driver.
    pub fn timeout(&mut self) {
        if !matches!(self.mode, Mode::Waiting(_) | Mode::Closed) {
            let reply = Reply::new(421, EnhancedCode::new(4, 4, 2), "Timeout, closing connection");
            self.close_with(&reply, CloseReason::Timeout);
        }
    }

    /// The TLS handshake is done. The session begins anew (RFC 3207 section 4.2).
    ///
    /// # Errors
    /// [`NotAwaited`] unless `StartTls` was the last event.
    pub fn tls_started(&mut self, info: TlsInfo) -> Result<(), NotAwaited> {
        let Mode::StartTls { discarded } = self.mode else {
            return Err(NotAwaited);
        };
        if discarded > 0 {
            self.fact(Fact::PlaintextDiscarded { bytes: discarded });
        }
        self.config.tls = Tls::Active(info);
        self.input.clear();
        let Session { errors, refused_recipients, auth_exchanges, auth_failures, .. } = self.session;
        self.session = Session { errors, refused_recipients, auth_exchanges, auth_failures, ..Session::default() };
        self.mode = Mode::Commands;
        Ok(())
    }

    /// The TLS handshake failed; the connection cannot be used any more.
    pub fn tls_failed(&mut self) {
        self.end(CloseReason::TlsFailed);
    }

    /// Answers [`Event::CheckMail`].
    ///
    /// # Errors
    /// [`NotAwaited`] when no sender waits.
    pub fn answer_mail(&mut self, verdict: Verdict) -> Result<(), NotAwaited> {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Waiting(Waiting::Mail(mail)) => {
                self.sender_decided(*mail, verdict);
                Ok(())
            }
            other => self.not_awaited(other),
        }
    }

    /// Answers [`Event::CheckRecipient`].
    ///
    /// # Errors
    /// [`NotAwaited`] when no recipient waits.
    pub fn answer_recipient(&mut self, verdict: Verdict) -> Result<(), NotAwaited> {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Waiting(Waiting::Recipient(recipient)) => {
                self.recipient_decided(*recipient, verdict);
                Ok(())
            }
            other => self.not_awaited(other),
        }
    }

    /// Answers [`Event::DataStart`]: `Accept` lets the message come.
    ///
    /// # Errors
    /// [`NotAwaited`] when no message waits to begin.
    pub fn answer_data_start(&mut self, verdict: Verdict) -> Result<(), NotAwaited> {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Waiting(Waiting::DataStart(content, chunk)) => {
                self.start_decided(content, chunk, verdict);
                Ok(())
            }
            other => self.not_awaited(other),
        }
    }

    /// Answers [`Event::DataEnd`]: one verdict, or in LMTP one per accepted recipient in their order. Those that are
    /// missing count as "try later".
    ///
    /// # Errors
    /// [`NotAwaited`] when no message waits for its result.
    pub fn answer_data_end(&mut self, verdicts: Vec<Verdict>) -> Result<(), NotAwaited> {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Waiting(Waiting::DataEnd { recipients }) => {
                self.message_decided(recipients, verdicts);
                Ok(())
            }
            other => self.not_awaited(other),
        }
    }

    /// What the client called itself, once it did.
    pub fn helo(&self) -> Option<&str> {
        self.session.helo.as_deref()
    }

    /// The user name proven by AUTH.
    pub fn authenticated(&self) -> Option<&str> {
        self.session.authenticated.as_deref()
    }

    /// The TLS layer, when there is one.
    pub fn tls(&self) -> Option<&TlsInfo> {
        match &self.config.tls {
            Tls::Active(info) => Some(info),
            Tls::Absent | Tls::Offered => None,
        }
    }

    fn not_awaited(&mut self, mode: Mode) -> Result<(), NotAwaited> {
        self.mode = mode;
        Err(NotAwaited)
    }

    fn step(&mut self) -> Step {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Commands if self.stopping => self.stop(),
            Mode::Commands => self.read_command(),
            Mode::SkipLine(reply) => self.skip_line(reply),
            Mode::Sasl(_) if self.stopping => self.stop(),
            Mode::Sasl(exchange) => self.read_sasl_line(exchange),
            Mode::Data(data) => self.read_data(data),
            Mode::Bdat(chunk) => self.read_chunk(chunk),
            mode @ (Mode::Waiting(_) | Mode::StartTls { .. } | Mode::Closed) => {
                self.mode = mode;
                Step::NeedAnswer
            }
        }
    }

    /// Nothing more can be done with the bytes at hand in this mode.
    fn starve(&mut self, mode: Mode) -> Step {
        self.mode = mode;
        if self.input_ended {
            self.end(CloseReason::EndOfInput);
            return Step::Again;
        }
        Step::NeedInput
    }

    fn stop(&mut self) -> Step {
        let reply = Reply::new(421, EnhancedCode::new(4, 3, 2), "Service shutting down, try again");
        self.close_with(&reply, CloseReason::Shutdown);
        Step::Again
    }

    fn reply(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
    }

    /// Sends a refusal of the driver; a 421 ends the session (RFC 5321 section 3.8).
    fn refuse(&mut self, reply: Reply) {
        let reply = negative(reply);
        if reply.code() == 421 {
            self.close_with(&reply, CloseReason::Refused);
        } else {
            self.reply(&reply);
        }
    }

    /// Replies to a protocol error of the client and counts it.
    fn fault(&mut self, reply: &Reply) {
        self.reply(reply);
        self.send_now |= reply.code() == 500;
        self.session.errors += 1;
        self.end_when(self.session.errors >= ERRORS_MAX);
    }

    fn count_idle_command(&mut self) {
        self.session.idle_commands += 1;
        self.end_when(self.session.idle_commands >= IDLE_COMMANDS_MAX);
    }

    fn count_refused_recipient(&mut self) {
        self.session.refused_recipients += 1;
        self.end_when(self.session.refused_recipients >= REFUSED_RECIPIENTS_MAX);
    }

    fn count_auth_failure(&mut self) {
        self.session.auth_failures += 1;
        self.end_when(self.session.auth_failures >= AUTH_FAILURES_MAX);
    }

    fn end_when(&mut self, over_bound: bool) {
        if over_bound && !matches!(self.mode, Mode::Closed) {
            let reply = Reply::new(421, EnhancedCode::new(4, 7, 0), "Too many errors, closing connection");
            self.close_with(&reply, CloseReason::TooManyErrors);
        }
    }

    fn close_with(&mut self, reply: &Reply, reason: CloseReason) {
        self.reply(reply);
        self.end(reason);
    }

    /// Ends the session: a message under way is given up, what was written is sent, then the connection closes.
    fn end(&mut self, reason: CloseReason) {
        let mode = std::mem::replace(&mut self.mode, Mode::Closed);
        let transaction = std::mem::replace(&mut self.transaction, Transaction::None);
        let content = match (mode, transaction) {
            (Mode::Closed, _) => return,
            (Mode::Data(data), _) => Some(data.into_content()),
            (Mode::Bdat(chunk), _) => Some(chunk.into_content()),
            (_, Transaction::Chunks(content)) => Some(*content),
            _ => None,
        };
        if let Some(content) = content {
            content.give_up(Abort::SessionEnd, &mut self.events);
        }
        if !self.output.is_empty() {
            let write = self.take_output();
            self.events.push_back(write);
        }
        self.events.push_back(Event::Close(reason));
        self.input = Input::default();
    }

    fn take_output(&mut self) -> Event {
        self.send_now = false;
        Event::Write(std::mem::take(&mut self.output))
    }

    fn fact(&mut self, fact: Fact) {
        self.events.push_back(Event::Fact(fact));
    }

    fn transport(&self, smtputf8: bool) -> Transport {
        Transport {
            lmtp: self.config.service == Service::Lmtp,
            extended: self.session.extended,
            tls: self.tls().is_some(),
            authenticated: self.session.authenticated.is_some(),
            smtputf8,
        }
    }
}

/// A refusal that is none must not tell the client that its mail is safe.
fn negative(reply: Reply) -> Reply {
    if reply.is_positive() { Reply::try_later("Try again later") } else { reply }
}
