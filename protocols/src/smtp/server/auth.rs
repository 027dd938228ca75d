//! AUTH in the server machine (RFC 4954): carries SASL messages between the client and the exchange in [`crate::sasl`].

use super::super::input::Line;
use super::super::reply::{EnhancedCode, Reply};
use super::{Event, Fact, Mode, NotAwaited, PasswordVerdict, ScramVerdict, Server, Service, Step, Waiting};
use crate::limits::smtp::AUTH_LINE_BYTES_MAX;
use crate::sasl::{self, Mechanism, wire};

impl Server {
    /// Answers [`Event::CheckPassword`].
    ///
    /// # Errors
    /// [`NotAwaited`] when no password waits.
    pub fn answer_password(&mut self, verdict: PasswordVerdict) -> Result<(), NotAwaited> {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Waiting(Waiting::Password(mut exchange)) => {
                match verdict {
                    PasswordVerdict::Unavailable => self.auth_unavailable(),
                    decided => {
                        let step = exchange.password_result(decided == PasswordVerdict::Correct);
                        self.sasl_step(exchange, step);
                    }
                }
                Ok(())
            }
            other => self.not_awaited(other),
        }
    }

    /// Answers [`Event::NeedScram`].
    ///
    /// # Errors
    /// [`NotAwaited`] when no keys are awaited.
    pub fn answer_scram(&mut self, verdict: ScramVerdict) -> Result<(), NotAwaited> {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Waiting(Waiting::Scram(mut exchange)) => {
                let keys = match verdict {
                    ScramVerdict::Keys(keys) => Some(keys),
                    ScramVerdict::Unknown => None,
                    ScramVerdict::Unavailable => {
                        self.auth_unavailable();
                        return Ok(());
                    }
                };
                let step = exchange.scram_keys(keys);
                self.sasl_step(exchange, step);
                Ok(())
            }
            other => self.not_awaited(other),
        }
    }

    /// Begins an exchange, or says why not.
    pub(super) fn start_auth(&mut self, mechanism: &str, initial: Option<&[u8]>) {
        if let Some(reply) = self.auth_refusal() {
            return self.fault(&reply);
        }
        let mechanism = Mechanism::from_name(mechanism);
        let (Some(mechanism), Some(material)) = (mechanism, self.config.auth.as_ref()) else {
            let text = "Mechanism not supported";
            return self.fault(&Reply::new(504, EnhancedCode::new(5, 5, 4), text));
        };
        if !self.config.mechanisms(self.tls().is_some()).any(|offered| offered == mechanism) {
            // 538 of RFC 2554 section 6 with X.7.11 of RFC 5248 section 2.4.
            let text = "Encryption required for this mechanism";
            return self.fault(&Reply::new(538, EnhancedCode::new(5, 7, 11), text));
        }
        let initial = match initial.map(wire::decode_initial).transpose() {
            Ok(initial) => initial,
            Err(failure) => return self.sasl_failed(failure),
        };
        self.session.auth_exchanges += 1;
        let material = material.exchange(self.session.auth_exchanges);
        let (exchange, step) = sasl::Server::start(mechanism, material, initial.as_deref());
        self.sasl_step(Box::new(exchange), step);
    }

    /// RFC 4954 section 4: only after EHLO and once per session; so it cannot come within a transaction, which needs it.
    fn auth_refusal(&self) -> Option<Reply> {
        let sequence = |text| Some(Reply::new(503, EnhancedCode::new(5, 5, 1), text));
        if self.config.service != Service::Submission || self.config.auth.is_none() {
            return Some(Reply::new(502, EnhancedCode::new(5, 5, 1), "AUTH is not offered here"));
        }
        if !self.session.extended {
            return sequence("EHLO first");
        }
        if self.session.authenticated.is_some() {
            return sequence("Already authenticated");
        }
        None
    }

    /// Reads the client's answer to a challenge.
    pub(super) fn read_sasl_line(&mut self, mut exchange: Box<sasl::Server>) -> Step {
        let length = match self.input.line(AUTH_LINE_BYTES_MAX) {
            Line::Partial => return self.starve(Mode::Sasl(exchange)),
            Line::TooLong => {
                let text = "Authentication exchange line is too long";
                self.mode = Mode::SkipLine(Reply::new(500, EnhancedCode::new(5, 5, 6), text));
                return Step::Again;
            }
            Line::BareLineEnd(length) => {
                self.input.consume(length);
                self.fault(&Reply::new(500, EnhancedCode::new(5, 5, 2), "Lines end with CRLF"));
                return Step::Again;
            }
            Line::Complete(length) => length,
        };
        let line = self.input.pending().get(..length - 2).unwrap_or_default();
        let cancelled = line == b"*";
        let message = wire::decode(line);
        self.input.consume(length);
        match message {
            _ if cancelled => {
                self.fault(&Reply::new(501, EnhancedCode::new(5, 7, 0), "Authentication cancelled"));
            }
            Ok(message) => {
                let step = exchange.respond(&message);
                self.sasl_step(exchange, step);
            }
            Err(failure) => self.sasl_failed(failure),
        }
        Step::Again
    }

    fn sasl_step(&mut self, exchange: Box<sasl::Server>, step: sasl::Step) {
        match step {
            sasl::Step::Challenge(challenge) => {
                self.reply(&Reply::plain(334, wire::encode(&challenge)));
                self.mode = Mode::Sasl(exchange);
            }
            // Acting for somebody else is not offered (RFC 4954 section 6: 535).
            sasl::Step::CheckPassword { authzid: Some(_), .. } | sasl::Step::Done { authzid: Some(_), .. } => {
                self.sasl_failed(sasl::Failure::BadCredentials);
            }
            sasl::Step::CheckPassword { authzid: None, username, password } => {
                self.mode = Mode::Waiting(Waiting::Password(exchange));
                self.events.push_back(Event::CheckPassword { username, password });
            }
            sasl::Step::NeedScram { username } => {
                self.mode = Mode::Waiting(Waiting::Scram(exchange));
                self.events.push_back(Event::NeedScram { username });
            }
            sasl::Step::Done { authzid: None, username } => {
                self.reply(&Reply::new(235, EnhancedCode::new(2, 7, 0), "Authentication successful"));
                self.fact(Fact::Authenticated { username: username.clone() });
                self.session.authenticated = Some(username);
                self.session.idle_commands = 0;
            }
            sasl::Step::Failed(failure) => self.sasl_failed(failure),
        }
    }

    fn sasl_failed(&mut self, failure: sasl::Failure) {
        self.fact(Fact::AuthenticationFailed(failure));
        let reply = match failure {
            sasl::Failure::Malformed | sasl::Failure::TooLong | sasl::Failure::OutOfOrder => {
                Reply::new(501, EnhancedCode::new(5, 5, 2), "Authentication data is not valid")
            }
            _ => Reply::new(535, EnhancedCode::new(5, 7, 8), "Authentication credentials invalid"),
        };
        self.reply(&reply);
        self.count_auth_failure();
    }

    /// RFC 4954 section 6: 454 asks the client to try again later.
    fn auth_unavailable(&mut self) {
        let text = "Temporary authentication failure";
        self.reply(&Reply::new(454, EnhancedCode::new(4, 7, 0), text));
        self.count_idle_command();
    }
}
