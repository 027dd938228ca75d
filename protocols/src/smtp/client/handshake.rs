//! The client machine up to its first message: greeting, EHLO, STARTTLS, AUTH.

use super::super::reply::{EnhancedCode, Reply};
use super::extensions::Extensions;
use super::{Client, Event, Mode, Outcome, Stage, TlsPolicy};
use crate::sasl::{client, wire};

impl Client {
    pub(super) fn hello(&mut self) {
        let verb = if self.config.lmtp { "LHLO" } else { "EHLO" };
        let line = format!("{verb} {}", self.config.hostname);
        self.command(&line);
        self.mode = Mode::Ehlo;
    }

    pub(super) fn handshake_reply(&mut self, mode: Mode, reply: Reply) {
        let good = (200..=299).contains(&reply.code());
        // `fail` names what was under way by the mode.
        self.mode = mode;
        match self.mode {
            Mode::Greeting if good => self.hello(),
            Mode::Ehlo if good => {
                self.extensions = Extensions::parse(reply.text());
                self.secure();
            }
            // RFC 5321 section 3.2: a host that does not know EHLO may know HELO.
            Mode::Ehlo if reply.is_permanent() && !self.config.lmtp => {
                let line = format!("HELO {}", self.config.hostname);
                self.command(&line);
                self.mode = Mode::Helo;
            }
            Mode::Helo if good => self.secure(),
            Mode::StartTlsReply if reply.code() == 220 => {
                self.events.push_back(Event::StartTls);
                self.mode = Mode::Handshake;
            }
            // RFC 3207 section 4.1: the client decides whether to go on in the plain.
            Mode::StartTlsReply if self.config.tls == TlsPolicy::Opportunistic => self.authenticate(),
            Mode::Auth if reply.code() == 235 => self.become_ready(),
            _ => {
                let outcome = Outcome::from_reply(self.stage(), reply);
                self.leave(outcome);
            }
        }
    }

    fn secure(&mut self) {
        let wanted = matches!(self.config.tls, TlsPolicy::Opportunistic | TlsPolicy::Required);
        if self.tls_active || !wanted {
            return self.authenticate();
        }
        if self.extensions.start_tls {
            self.command("STARTTLS");
            self.mode = Mode::StartTlsReply;
        } else if self.config.tls == TlsPolicy::Required {
            // RFC 3463 section 3.8: X.7.4, security features not supported. The host may be mended or impersonated, so
            // this is no refusal for good.
            let enhanced = EnhancedCode::new(4, 7, 4);
            self.leave(Outcome::broken(Stage::StartTls, enhanced, "The host does not offer the TLS it must"));
        } else {
            self.authenticate();
        }
    }

    fn authenticate(&mut self) {
        if self.config.tls == TlsPolicy::Required && !self.tls_active {
            let enhanced = EnhancedCode::new(4, 7, 4);
            return self.leave(Outcome::broken(Stage::StartTls, enhanced, "The host refused STARTTLS"));
        }
        let Some((username, password)) = &self.config.credentials else { return self.become_ready() };
        // RFC 4954 section 4: a readable password is not sent in the plain.
        if !(self.tls_active || self.config.peer_is_loopback) || !self.extensions.auth_plain {
            let enhanced = EnhancedCode::new(4, 7, 0);
            let text = "The relay offers no safe AUTH PLAIN";
            return self.leave(Outcome::broken(Stage::Auth, enhanced, text));
        }
        let line = format!("AUTH PLAIN {}", wire::encode(&client::plain(username, password)));
        self.command(&line);
        self.mode = Mode::Auth;
    }

    pub(super) fn become_ready(&mut self) {
        self.mode = Mode::Idle;
        self.events.push_back(Event::Ready);
    }

    /// Ends a session that is in step but of no use (RFC 5321 section 4.1.1.10: QUIT before closing).
    fn leave(&mut self, outcome: Outcome) {
        self.fail(outcome);
        self.command("QUIT");
    }
}
