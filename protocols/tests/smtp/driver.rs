//! A driver of the server machine for tests: a directory of fixed rules, a log of replies and of everything else.
//!
//! Accounts: `ann` with password `secret`. Senders: `spam@…` is refused. Recipients: `unknown@…` 550, `later@…` 451,
//! `closing@…` 421. Messages: a recipient `full@…` gets 452 at the end; a sender `noroom@…` is refused at the beginning.

use protocols::address::Address;
use protocols::sasl::{Password, ScramKeys};
use protocols::smtp::server::{
    AuthMaterial, Config, Event, Fact, PasswordVerdict, ScramVerdict, Server, Service, Tls, Verdict,
};
use protocols::smtp::{EnhancedCode, Envelope, Reply, TlsInfo};

/// A session with everything it said and did.
pub struct Driver {
    /// The machine.
    pub server: Server,
    /// Every byte that was written.
    pub written: Vec<u8>,
    /// Every event but writes and chunks, as text; the content of a message appears with its end.
    pub log: Vec<String>,
    /// Complete messages.
    pub messages: Vec<Vec<u8>>,
    /// The last envelope.
    pub envelope: Option<Envelope>,
    message: Vec<u8>,
    /// A StartTls event waits for `finish_tls`.
    pub tls_pending: bool,
    /// The machine asked to close.
    pub closed: bool,
}

/// A configuration for tests.
pub fn config(service: Service, tls: Tls) -> Config {
    Config {
        hostname: "mx.example.org".into(),
        service,
        message_bytes_max: 100_000,
        tls,
        peer_is_loopback: false,
        auth: Some(AuthMaterial::new([1; 32], [2; 32])),
    }
}

/// TLS facts for tests.
pub fn tls_info() -> TlsInfo {
    TlsInfo { version: "TLSv1.3".into(), cipher: "TLS_AES_128_GCM_SHA256".into() }
}

impl Driver {
    pub fn new(config: Config) -> Driver {
        let mut driver = Driver {
            server: Server::new(config),
            written: Vec::new(),
            log: Vec::new(),
            messages: Vec::new(),
            envelope: None,
            message: Vec::new(),
            tls_pending: false,
            closed: false,
        };
        driver.pump();
        driver
    }

    /// Hands the bytes over in pieces of `size`, doing what the machine asks after each.
    pub fn feed(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size.max(1)) {
            let mut rest = piece;
            while !rest.is_empty() {
                let taken = self.server.handle_input(rest);
                rest = &rest[taken..];
                let logged = self.log.len() + self.written.len();
                self.pump();
                let progress = taken > 0 || self.log.len() + self.written.len() > logged;
                assert!(progress, "the machine neither takes input nor does anything");
            }
        }
    }

    /// Completes a pending TLS handshake.
    pub fn finish_tls(&mut self) {
        if std::mem::take(&mut self.tls_pending) {
            self.server.tls_started(tls_info()).unwrap();
            self.pump();
        }
    }

    /// Takes the replies written since the last call, as lines.
    pub fn take_replies(&mut self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut self.written)).unwrap();
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Does what the machine asks until it asks nothing more.
    pub fn pump(&mut self) {
        while let Some(event) = self.server.poll() {
            assert!(!self.closed, "{event:?} after close");
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Write(bytes) => {
                assert!(!bytes.is_empty());
                self.written.extend(bytes);
            }
            Event::StartTls => {
                self.tls_pending = true;
                self.log.push("starttls".into());
            }
            Event::CheckPassword { username, password } => {
                let correct = username == "ann" && password == Password::new("secret".into());
                let verdict = if correct { PasswordVerdict::Correct } else { PasswordVerdict::Wrong };
                self.server.answer_password(verdict).unwrap();
            }
            Event::NeedScram { username } => {
                let keys = ScramKeys::derive(&Password::new("secret".into()), &[3; 16], 4096).unwrap();
                let verdict = if username == "ann" { ScramVerdict::Keys(keys) } else { ScramVerdict::Unknown };
                self.server.answer_scram(verdict).unwrap();
            }
            Event::CheckMail(mail) => {
                self.server.answer_mail(decide_sender(mail.sender.as_ref())).unwrap();
            }
            Event::CheckRecipient(recipient) => {
                self.server.answer_recipient(decide_recipient(&recipient.address)).unwrap();
            }
            Event::DataStart(envelope) => self.start(*envelope),
            Event::DataChunk(bytes) => {
                assert!(!bytes.is_empty());
                self.message.extend_from_slice(&bytes);
            }
            Event::HeaderEnd(facts) => {
                assert_eq!(facts.bytes as usize, self.message.len());
                let id = facts.message_id.as_deref().unwrap_or("-");
                self.log.push(format!("header {} received {} id {id}", facts.bytes, facts.received));
            }
            Event::DataEnd { bytes } => self.end(bytes),
            Event::DataAbort(reason) => {
                self.message.clear();
                self.log.push(format!("abort {reason:?}"));
            }
            Event::Fact(fact) => self.log.push(describe(&fact)),
            Event::Close(reason) => {
                self.closed = true;
                self.log.push(format!("close {reason:?}"));
            }
        }
    }

    fn start(&mut self, envelope: Envelope) {
        assert!(self.message.is_empty());
        let sender = envelope.mail.sender.as_ref().map(ToString::to_string).unwrap_or_default();
        let recipients: Vec<String> =
            envelope.recipients.iter().map(|recipient| format!("<{}>", recipient.address)).collect();
        let with = envelope.transport.keyword();
        self.log.push(format!("start {with} from <{sender}> to {}", recipients.join(" ")));
        let verdict = if sender.starts_with("noroom@") {
            Verdict::Refuse(Reply::new(452, EnhancedCode::new(4, 3, 1), "No room"))
        } else {
            Verdict::Accept
        };
        self.envelope = Some(envelope);
        self.server.answer_data_start(verdict).unwrap();
    }

    fn end(&mut self, bytes: u64) {
        let message = std::mem::take(&mut self.message);
        assert_eq!(bytes as usize, message.len());
        self.log.push(format!("message {}", message.escape_ascii()));
        self.messages.push(message);
        let envelope = self.envelope.as_ref().unwrap();
        let full = |address: &Address| address.local_part() == "full";
        let verdict = |refused: bool| {
            if refused {
                Verdict::Refuse(Reply::new(452, EnhancedCode::new(4, 2, 2), "Mailbox full"))
            } else {
                Verdict::AcceptWith("Stored".into())
            }
        };
        let verdicts = if envelope.transport.lmtp {
            envelope.recipients.iter().map(|recipient| verdict(full(&recipient.address))).collect()
        } else {
            vec![verdict(envelope.recipients.iter().any(|recipient| full(&recipient.address)))]
        };
        self.server.answer_data_end(verdicts).unwrap();
    }
}

fn decide_sender(sender: Option<&Address>) -> Verdict {
    if sender.is_some_and(|sender| sender.local_part() == "spam") {
        Verdict::Refuse(Reply::new(550, EnhancedCode::new(5, 7, 1), "Sender refused"))
    } else {
        Verdict::Accept
    }
}

fn decide_recipient(recipient: &Address) -> Verdict {
    match recipient.local_part() {
        "unknown" => Verdict::Refuse(Reply::new(550, EnhancedCode::new(5, 1, 1), "No such user")),
        "later" => Verdict::Refuse(Reply::try_later("Try later")),
        "closing" => Verdict::Refuse(Reply::new(421, EnhancedCode::new(4, 3, 2), "Going away")),
        _ => Verdict::Accept,
    }
}

fn describe(fact: &Fact) -> String {
    match fact {
        Fact::Authenticated { username } => format!("authenticated {username}"),
        Fact::AuthenticationFailed(failure) => format!("authentication failed {failure:?}"),
        Fact::PlaintextDiscarded { .. } => "plaintext discarded".into(),
        Fact::RecipientRefused { reply } => format!("recipient refused {}", reply.code()),
    }
}
