//! Commands of the server machine: whether each may come now, what it changes, what is replied.

use super::super::command::{self, Command, CommandError, Hello, RecipientArguments};
use super::super::envelope::{Body, Envelope, Mail, Recipient};
use super::super::input::Line;
use super::super::reply::{EnhancedCode, Reply};
use super::content::Content;
use super::event::{Abort, CloseReason, Event, Fact, Verdict};
use super::{ChunkSize, Mode, Server, Service, Step, Tls, Transaction, Waiting};
use crate::address::Address;
use crate::limits::smtp::{AUTH_LINE_BYTES_MAX, COMMAND_LINE_BYTES_MAX, DISCARD_BYTES_MAX, RECIPIENTS_MAX};

impl Server {
    /// Takes one command line, if it is complete.
    pub(super) fn read_command(&mut self) -> Step {
        let is_auth = self.input.pending().get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        let bytes_max = if is_auth { AUTH_LINE_BYTES_MAX } else { COMMAND_LINE_BYTES_MAX };
        match self.input.line(bytes_max) {
            Line::Partial => {
                self.input.release();
                return self.starve(Mode::Commands);
            }
            Line::TooLong => {
                let reply = Reply::new(500, EnhancedCode::new(5, 5, 2), "Line too long");
                self.mode = Mode::SkipLine(reply);
            }
            Line::BareLineEnd(length) => {
                self.input.consume(length);
                // RFC 5321 section 2.3.8: LF alone ends no line.
                self.fault(&Reply::new(500, EnhancedCode::new(5, 5, 2), "Lines end with CRLF"));
            }
            Line::Complete(length) => {
                let line = self.input.pending().get(..length - 2).unwrap_or_default();
                let parsed = command::parse(line);
                self.input.consume(length);
                match parsed {
                    Ok(command) => self.obey(command),
                    Err(CommandError::Reply(reply)) => self.fault(&reply),
                    Err(CommandError::OutOfStep(reply)) => {
                        self.close_with(&reply, CloseReason::OutOfStep);
                    }
                }
            }
        }
        Step::Again
    }

    /// Drops the rest of a line over its bound.
    pub(super) fn skip_line(&mut self, reply: Reply) -> Step {
        match memchr::memchr(b'\n', self.input.pending()) {
            Some(end) => {
                self.input.consume(end + 1);
                self.fault(&reply);
                Step::Again
            }
            None => {
                self.input.clear();
                self.starve(Mode::SkipLine(reply))
            }
        }
    }

    fn obey(&mut self, command: Command) {
        // RFC 2920 section 3.2 (5): replies to these are not held back.
        self.send_now =
            matches!(command, Command::Hello(..) | Command::Noop | Command::Verify | Command::Expand | Command::Help);
        match command {
            Command::Hello(kind, name) => self.hello(kind, name),
            Command::Mail(mail) => self.mail(mail),
            Command::Recipient(arguments) => self.recipient(arguments),
            Command::Data => self.data(),
            Command::Bdat { bytes, last } => self.bdat(ChunkSize { bytes, last }),
            Command::Auth { mechanism, initial } => self.start_auth(&mechanism, initial.as_deref()),
            Command::StartTls => self.start_tls(),
            Command::Quit => {
                let reply = Reply::new(221, EnhancedCode::new(2, 0, 0), "Bye");
                self.close_with(&reply, CloseReason::Quit);
            }
            Command::Expand => {
                self.fault(&Reply::new(502, EnhancedCode::new(5, 5, 1), "EXPN is not offered"));
            }
            Command::Reset => {
                self.reset_transaction();
                self.idle_reply(250, EnhancedCode::new(2, 0, 0), "Ok");
            }
            Command::Noop => self.idle_reply(250, EnhancedCode::new(2, 0, 0), "Ok"),
            // RFC 5321 section 3.5.3: 252 tells nothing about who exists.
            Command::Verify => {
                self.idle_reply(252, EnhancedCode::new(2, 5, 2), "Send mail and it will be tried");
            }
            Command::Help => self.idle_reply(214, EnhancedCode::new(2, 0, 0), "See RFC 5321"),
        }
    }

    fn idle_reply(&mut self, code: u16, enhanced: EnhancedCode, text: &'static str) {
        self.reply(&Reply::new(code, enhanced, text));
        self.count_idle_command();
    }

    fn out_of_sequence(&mut self, text: &'static str) {
        self.fault(&Reply::new(503, EnhancedCode::new(5, 5, 1), text));
    }

    pub(super) fn reset_transaction(&mut self) {
        if let Transaction::Chunks(content) = std::mem::replace(&mut self.transaction, Transaction::None) {
            content.give_up(Abort::Reset, &mut self.events);
        }
    }

    /// RFC 5321 section 4.1.1.1; RFC 2033 section 4.1: LMTP has LHLO instead of HELO and EHLO.
    fn hello(&mut self, kind: Hello, name: String) {
        let lmtp = self.config.service == Service::Lmtp;
        if lmtp != (kind == Hello::Lhlo) {
            let text = if lmtp { "This is LMTP, say LHLO" } else { "This is SMTP, say EHLO" };
            return self.fault(&Reply::new(500, EnhancedCode::new(5, 5, 1), text));
        }
        self.reset_transaction();
        self.session.helo = Some(name);
        self.session.extended = kind != Hello::Helo;
        let text = if self.session.extended { self.extensions() } else { self.config.hostname.clone() };
        self.reply(&Reply::plain(250, text));
        self.count_idle_command();
    }

    fn extensions(&self) -> String {
        let mut lines = vec![
            self.config.hostname.clone(),
            "PIPELINING".to_owned(),
            format!("SIZE {}", self.config.message_bytes_max),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "CHUNKING".to_owned(),
            "BINARYMIME".to_owned(),
            "DSN".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        if self.config.tls == Tls::Offered {
            lines.push("STARTTLS".to_owned());
        }
        let names: Vec<&str> = self.config.mechanisms(self.tls().is_some()).map(|mechanism| mechanism.name()).collect();
        if !names.is_empty() && self.session.authenticated.is_none() {
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        lines.push("HELP".to_owned());
        lines.join("\n")
    }

    fn mail(&mut self, mail: Mail) {
        if self.session.helo.is_none() {
            return self.out_of_sequence("Say hello first");
        }
        if !matches!(self.transaction, Transaction::None) {
            return self.out_of_sequence("A transaction is under way");
        }
        if self.config.service == Service::Submission && self.session.authenticated.is_none() {
            // RFC 4954 section 6, RFC 6409 section 4.3.
            let text = "Authentication required";
            return self.fault(&Reply::new(530, EnhancedCode::new(5, 7, 0), text));
        }
        // RFC 1870 section 6.1.
        if mail.size.is_some_and(|size| size > self.config.message_bytes_max) {
            return self.reply(&too_big());
        }
        self.events.push_back(Event::CheckMail(Box::new(mail.clone())));
        self.mode = Mode::Waiting(Waiting::Mail(Box::new(mail)));
    }

    pub(super) fn sender_decided(&mut self, mail: Mail, verdict: Verdict) {
        let text = match verdict {
            Verdict::Refuse(reply) => {
                self.refuse(reply);
                return self.count_idle_command();
            }
            Verdict::Accept => "Ok".into(),
            Verdict::AcceptWith(text) => text,
        };
        self.reply(&Reply::new(250, EnhancedCode::new(2, 1, 0), text));
        self.transaction = Transaction::Envelope(Box::new(Envelope {
            transport: self.transport(mail.smtputf8),
            mail,
            recipients: Vec::new(),
            helo: self.session.helo.clone().unwrap_or_default(),
            authenticated: self.session.authenticated.clone(),
            tls: self.tls().cloned(),
        }));
    }

    fn recipient(&mut self, arguments: RecipientArguments) {
        let Transaction::Envelope(envelope) = &self.transaction else {
            return self.out_of_sequence("MAIL first");
        };
        // RFC 5321 section 4.5.3.1.10: the client sends the rest in another transaction.
        if envelope.recipients.len() >= RECIPIENTS_MAX {
            return self.reply(&Reply::new(452, EnhancedCode::new(4, 5, 3), "Too many recipients"));
        }
        let smtputf8 = envelope.mail.smtputf8;
        let recipient = match arguments {
            RecipientArguments::Mailbox(recipient) => recipient,
            RecipientArguments::Postmaster { notify, original } => {
                match Address::from_parts("postmaster", &self.config.hostname) {
                    Ok(address) => Recipient { address, notify, original },
                    Err(_) => {
                        let text = "The address has no domain";
                        return self.fault(&Reply::new(501, EnhancedCode::new(5, 1, 3), text));
                    }
                }
            }
        };
        if !smtputf8 && !recipient.address.is_ascii() {
            return self.fault(&command::needs_smtputf8());
        }
        self.events.push_back(Event::CheckRecipient(Box::new(recipient.clone())));
        self.mode = Mode::Waiting(Waiting::Recipient(Box::new(recipient)));
    }

    pub(super) fn recipient_decided(&mut self, recipient: Recipient, verdict: Verdict) {
        let text = match verdict {
            Verdict::Refuse(reply) => {
                self.fact(Fact::RecipientRefused { reply: reply.clone() });
                let permanent = reply.is_permanent();
                self.refuse(reply);
                if permanent {
                    self.count_refused_recipient();
                }
                return;
            }
            Verdict::Accept => "Ok".into(),
            Verdict::AcceptWith(text) => text,
        };
        if let Transaction::Envelope(envelope) = &mut self.transaction {
            envelope.recipients.push(recipient);
        }
        self.reply(&Reply::new(250, EnhancedCode::new(2, 1, 5), text));
    }

    fn data(&mut self) {
        match std::mem::replace(&mut self.transaction, Transaction::None) {
            // RFC 2033 section 4.2 demands 503 when no recipient is valid; RFC 5321 section 3.3 allows it.
            Transaction::Envelope(envelope) if envelope.recipients.is_empty() => {
                self.transaction = Transaction::Envelope(envelope);
                self.out_of_sequence("No valid recipients");
            }
            // RFC 3030 section 3: binary content travels in chunks only.
            Transaction::Envelope(envelope) if envelope.mail.body == Body::Binary => {
                self.transaction = Transaction::Envelope(envelope);
                self.out_of_sequence("BINARYMIME needs BDAT");
            }
            Transaction::Envelope(envelope) => self.start_message(envelope, None),
            Transaction::None => self.out_of_sequence("MAIL first"),
            chunks @ Transaction::Chunks(_) => {
                self.transaction = chunks;
                self.out_of_sequence("BDAT is under way");
            }
        }
    }

    /// RFC 3030 section 2: whatever is wrong, the octets that follow belong to the chunk and are read.
    fn bdat(&mut self, size: ChunkSize) {
        if size.bytes > self.config.message_bytes_max.saturating_add(DISCARD_BYTES_MAX) {
            return self.close_with(&too_big(), CloseReason::OutOfStep);
        }
        match std::mem::replace(&mut self.transaction, Transaction::None) {
            Transaction::Envelope(envelope) if !envelope.recipients.is_empty() => {
                self.start_message(envelope, Some(size));
            }
            Transaction::Chunks(content) => self.begin_chunk(content, size),
            Transaction::Envelope(_) | Transaction::None => {
                let text = "MAIL and a valid RCPT first";
                let reply = Reply::new(503, EnhancedCode::new(5, 5, 1), text);
                self.begin_chunk(Box::new(Content::unwanted(reply)), size);
            }
        }
    }

    fn start_message(&mut self, envelope: Box<Envelope>, chunk: Option<ChunkSize>) {
        let checked_lines = chunk.is_some() && envelope.mail.body != Body::Binary;
        let content = Content::new(envelope.recipients.len(), self.config.message_bytes_max, checked_lines);
        self.events.push_back(Event::DataStart(envelope));
        self.mode = Mode::Waiting(Waiting::DataStart(Box::new(content), chunk));
    }

    /// RFC 3207 section 4.
    fn start_tls(&mut self) {
        match self.config.tls {
            Tls::Absent => {
                self.fault(&Reply::new(502, EnhancedCode::new(5, 5, 1), "STARTTLS is not offered"));
            }
            Tls::Active(_) => self.out_of_sequence("TLS is active"),
            Tls::Offered => {
                self.reset_transaction();
                self.reply(&Reply::new(220, EnhancedCode::new(2, 0, 0), "Ready to start TLS"));
                let write = self.take_output();
                self.events.push_back(write);
                // RFC 3207 section 6: what came in the plain behind the command must not count as said under TLS.
                let discarded = self.input.clear();
                self.events.push_back(Event::StartTls);
                self.mode = Mode::StartTls { discarded };
            }
        }
    }
}

/// RFC 1870 section 6.1.
fn too_big() -> Reply {
    Reply::new(552, EnhancedCode::new(5, 3, 4), "Message too big")
}
