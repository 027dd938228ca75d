//! The client machine of SMTP and LMTP: sends messages to one host over one connection. Bytes and message data in,
//! [`Event`]s out. It must not know sockets, clocks, DNS, TLS or the queue, and never holds a message.
//!
//! A driver loops: call [`Client::poll`] until it returns `None`, doing what each event asks; then read from the socket,
//! for at most [`Client::timeout_after`], and hand the bytes to [`Client::handle_input`].
//! [`Outcome`] says what each result means.

mod extensions;
mod handshake;
mod outcome;
mod replies;
mod stuffing;
mod transaction;

pub use outcome::{Outcome, Report, Stage};

use super::envelope::{Mail, Recipient};
use super::input::Input;
use super::reply::{EnhancedCode, Reply};
use crate::limits::smtp as limits;
use crate::sasl::Password;
use extensions::Extensions;
use replies::{NotAReply, ReplyReader};
use std::collections::VecDeque;
use std::time::Duration;
use transaction::{Phase, Sending};

pub use super::server::NotAwaited;

/// What to do about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Do not use STARTTLS: there is no need, or a handshake with this host failed before.
    Never,
    /// Use STARTTLS when it is offered; otherwise send in the plain.
    Opportunistic,
    /// Send under TLS or not at all.
    Required,
    /// The connection began with TLS.
    Active,
}

/// Configuration of one connection.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of this host for EHLO: a domain or address literal.
    pub hostname: String,
    /// Speak LMTP (RFC 2033) rather than SMTP.
    pub lmtp: bool,
    /// What to do about TLS.
    pub tls: TlsPolicy,
    /// Whether the host is this machine, so that a readable password is safe without TLS.
    pub peer_is_loopback: bool,
    /// User name and password for AUTH PLAIN, when a relay needs them.
    pub credentials: Option<(String, Password)>,
}

/// One message to send: its envelope and what must be known of its content beforehand.
#[derive(Debug, Clone)]
pub struct Message {
    /// Sender and wishes. `mail.body` says what the content is; `mail.smtputf8` that its header holds UTF-8;
    /// `mail.size` is not used.
    pub mail: Mail,
    /// Whom to send it to; results come in this order.
    pub recipients: Vec<Recipient>,
    /// Size of the content in bytes.
    pub bytes: u64,
}

/// What the driver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send these bytes, in order.
    Write(Vec<u8>),
    /// Do the TLS handshake, then call `tls_started` or `tls_failed`.
    StartTls,
    /// The host is ready for a message: call `send` or `quit`.
    Ready,
    /// Call `data` with the next piece of the message (tens of kilobytes), `data_end` after the last, or `data_failed`.
    NeedData,
    /// The results of the message, one per recipient in their order.
    Done(Vec<Outcome>),
    /// Close the connection. Nothing follows.
    Close(CloseReason),
}

/// Why the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// `quit` was called.
    Quit,
    /// The session with this host failed. When no message was under way, this is the result for every recipient the
    /// driver wanted to send to, unless another host can be tried.
    Failed(Box<Outcome>),
}

enum Mode {
    Greeting,
    Ehlo,
    Helo,
    StartTlsReply,
    Handshake,
    Auth,
    Idle,
    Sending(Box<Sending>),
    Quit,
    Closed,
}

/// One connection to one host.
pub struct Client {
    config: Config,
    input: Input,
    input_ended: bool,
    reader: ReplyReader,
    output: Vec<u8>,
    events: VecDeque<Event>,
    mode: Mode,
    extensions: Extensions,
    tls_active: bool,
    /// The host may still hold a transaction, so RSET goes before the next MAIL.
    needs_reset: bool,
}

impl Client {
    /// Begins with a fresh connection and waits for the greeting.
    pub fn new(config: Config) -> Client {
        let tls_active = config.tls == TlsPolicy::Active;
        Client {
            config,
            input: Input::default(),
            input_ended: false,
            reader: ReplyReader::default(),
            output: Vec::new(),
            events: VecDeque::new(),
            mode: Mode::Greeting,
            extensions: Extensions::default(),
            tls_active,
            needs_reset: false,
        }
    }

    /// The next thing to do; `None` when input, or a call that an event asked for, is needed.
    pub fn poll(&mut self) -> Option<Event> {
        loop {
            if !self.output.is_empty() {
                return Some(Event::Write(std::mem::take(&mut self.output)));
            }
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if matches!(self.mode, Mode::Handshake | Mode::Closed) {
                return None;
            }
            match self.reader.next(&mut self.input) {
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) if self.input_ended => self.lost("Connection closed by the host"),
                Ok(None) => return self.need_data(),
                Err(NotAReply) => {
                    let enhanced = EnhancedCode::new(4, 5, 0);
                    self.fail(Outcome::broken(self.stage(), enhanced, "The host sent no valid reply"));
                }
            }
        }
    }

    /// Takes bytes from the host and returns how many; the driver keeps the rest and offers it again after `poll`.
    pub fn handle_input(&mut self, bytes: &[u8]) -> usize {
        match self.mode {
            // What a host says in the plain behind its reply to STARTTLS must not count as said under TLS.
            Mode::Closed | Mode::Handshake => bytes.len(),
            _ => self.input.push(bytes),
        }
    }

    /// Whether reading from the socket makes sense now.
    pub fn wants_input(&self) -> bool {
        !self.input_ended && !self.input.is_full() && !matches!(self.mode, Mode::Handshake | Mode::Closed)
    }

    /// The host closed the connection, or it broke.
    pub fn handle_end_of_input(&mut self) {
        self.input_ended = true;
    }

    /// [`Client::timeout_after`] passed without anything from the host.
    pub fn timeout(&mut self) {
        self.lost("Timeout while waiting for the host");
    }

    /// How long to wait for the host now (RFC 5321 section 4.5.3.2).
    pub fn timeout_after(&self) -> Duration {
        match &self.mode {
            Mode::Greeting => limits::CLIENT_GREETING_TIMEOUT,
            Mode::Quit | Mode::Closed => limits::CLIENT_QUIT_TIMEOUT,
            Mode::Sending(sending) => match sending.phase {
                Phase::Envelope => limits::CLIENT_RECIPIENT_TIMEOUT,
                Phase::DataReply => limits::CLIENT_DATA_START_TIMEOUT,
                Phase::Content | Phase::ChunkReply => limits::CLIENT_DATA_BLOCK_TIMEOUT,
                Phase::DataEndReply => limits::CLIENT_DATA_END_TIMEOUT,
            },
            _ => limits::CLIENT_MAIL_TIMEOUT,
        }
    }

    /// Answers [`Event::StartTls`]: the session goes on under TLS, from EHLO (RFC 3207 section 4.2).
    ///
    /// # Errors
    /// [`NotAwaited`] when no handshake was asked for.
    pub fn tls_started(&mut self) -> Result<(), NotAwaited> {
        if !matches!(self.mode, Mode::Handshake) {
            return Err(NotAwaited);
        }
        self.tls_active = true;
        self.input.clear();
        self.extensions = Extensions::default();
        self.hello();
        Ok(())
    }

    /// Answers [`Event::StartTls`]: the connection is unusable. An opportunistic sender connects again with
    /// [`TlsPolicy::Never`].
    pub fn tls_failed(&mut self) {
        let enhanced = EnhancedCode::new(4, 7, 5);
        self.fail(Outcome::broken(Stage::StartTls, enhanced, "The TLS handshake failed"));
    }

    /// Whether the connection is under TLS.
    pub fn tls_active(&self) -> bool {
        self.tls_active
    }

    /// Whether the host offers DSN: it gets RET, ENVID, NOTIFY and ORCPT, and reports success itself when asked to
    /// (RFC 3461 section 5.2.2). Known once [`Event::Ready`] came.
    pub fn offers_dsn(&self) -> bool {
        self.extensions.dsn
    }

    /// Ends the session politely. Only between messages.
    ///
    /// # Errors
    /// [`NotAwaited`] when a message is under way or the session has not begun.
    pub fn quit(&mut self) -> Result<(), NotAwaited> {
        if !matches!(self.mode, Mode::Idle) {
            return Err(NotAwaited);
        }
        self.events.retain(|event| *event != Event::Ready);
        self.command("QUIT");
        self.mode = Mode::Quit;
        Ok(())
    }

    fn command(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn on_reply(&mut self, reply: Reply) {
        // RFC 5321 section 3.8: 421 may come at any time, and the host closes the connection.
        if reply.code() == 421 && !matches!(self.mode, Mode::Quit) {
            return self.fail(Outcome::from_reply(self.stage(), reply));
        }
        match std::mem::replace(&mut self.mode, Mode::Closed) {
            Mode::Sending(sending) => self.transaction_reply(sending, reply),
            Mode::Quit => self.events.push_back(Event::Close(CloseReason::Quit)),
            Mode::Idle => {
                self.mode = Mode::Idle;
                let enhanced = EnhancedCode::new(4, 5, 0);
                self.fail(Outcome::broken(Stage::Hello, enhanced, "The host sent a reply to nothing"));
            }
            Mode::Closed | Mode::Handshake => {}
            mode => self.handshake_reply(mode, reply),
        }
    }

    fn lost(&mut self, text: &'static str) {
        if matches!(self.mode, Mode::Quit) {
            self.mode = Mode::Closed;
            return self.events.push_back(Event::Close(CloseReason::Quit));
        }
        self.fail(Outcome::broken(self.stage(), EnhancedCode::new(4, 4, 2), text));
    }

    /// Ends the session: recipients without result get this one.
    fn fail(&mut self, outcome: Outcome) {
        match std::mem::replace(&mut self.mode, Mode::Closed) {
            Mode::Closed => return,
            Mode::Sending(sending) => {
                let results = sending.into_outcomes(&outcome);
                self.events.push_back(Event::Done(results));
            }
            _ => self.events.retain(|event| *event != Event::Ready),
        }
        self.output.clear();
        self.events.push_back(Event::Close(CloseReason::Failed(Box::new(outcome))));
    }

    fn stage(&self) -> Stage {
        match &self.mode {
            Mode::Greeting => Stage::Greeting,
            Mode::Ehlo | Mode::Helo | Mode::Idle | Mode::Quit | Mode::Closed => Stage::Hello,
            Mode::StartTlsReply | Mode::Handshake => Stage::StartTls,
            Mode::Auth => Stage::Auth,
            Mode::Sending(sending) => sending.stage(),
        }
    }
}
