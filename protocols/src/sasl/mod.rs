//! SASL server side without IO, for SMTP, IMAP, POP3 and ManageSieve: decoded client messages in, [`Step`]s out.
//! It must not know base64 framing of a protocol (see [`wire`]), the directory, or where random bytes come from.
//!
//! Call order: [`Server::start`], then whatever the returned [`Step`] asks for, until `Done` or `Failed`.

pub mod client;
mod failure;
mod login;
mod plain;
pub mod scram;
mod secret;
pub mod wire;

pub use failure::Failure;
pub use scram::ScramKeys;
pub use secret::Password;

use crate::limits::sasl::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, PASSWORD_BYTES_MAX, SCRAM_ITERATIONS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The mechanisms the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The old two-question exchange, draft-murchison-sasl-login.
    Login,
    /// RFC 5802 and RFC 7677, without channel binding.
    ScramSha256,
}

impl Mechanism {
    /// Every mechanism, the strongest first.
    pub const ALL: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// Finds a mechanism by its registered name, case-insensitively.
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// Whether the password crosses the wire readable, so that TLS or a loopback peer is needed.
    pub fn reveals_password(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::Login)
    }
}

/// What an exchange needs and may not make itself: randomness and the node's secret for unknown users.
#[derive(Clone)]
pub struct Material {
    nonce: String,
    fake_salt_key: [u8; 32],
    fake_iterations: u32,
}

impl Material {
    /// `random` must be fresh for every exchange; `fake_salt_key` must stay the same, on all nodes, for as long as
    /// unknown users should keep the same made-up salt.
    pub fn new(random: &[u8; 18], fake_salt_key: [u8; 32]) -> Material {
        Material { nonce: STANDARD.encode(random), fake_salt_key, fake_iterations: SCRAM_ITERATIONS }
    }

    /// The iteration count shown for unknown users, when existing accounts do not use the default one.
    pub fn with_fake_iterations(mut self, iterations: u32) -> Material {
        self.fake_iterations = iterations;
        self
    }
}

/// What the caller has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes (not yet base64) to the client and hand its answer to [`Server::respond`].
    Challenge(Vec<u8>),
    /// Check the password and call [`Server::password_result`]. Names and password are prepared by SASLprep.
    CheckPassword {
        /// The identity to act as; `None` when the client named none or the same as `username`.
        authzid: Option<String>,
        /// The identity whose password it is.
        username: String,
        /// The secret; its `Debug` shows nothing.
        password: Password,
    },
    /// Look up the SCRAM keys of this account and call [`Server::scram_keys`], with `None` when there are none.
    NeedScram {
        /// The identity whose keys are needed.
        username: String,
    },
    /// The client proved to be `username`. Whether it may act as `authzid` is the caller's decision.
    Done {
        /// The identity that was proven.
        username: String,
        /// The identity to act as; `None` when the client named none or the same as `username`.
        authzid: Option<String>,
    },
    /// The exchange is over. Tell the client no more than that it failed.
    Failed(Failure),
}

/// One exchange.
pub struct Server {
    state: State,
}

enum State {
    Plain,
    LoginName,
    LoginPassword { username: String },
    Password { username: String, authzid: Option<String> },
    ScramFirst(Material),
    ScramKeys(Box<scram::AwaitKeys>),
    ScramFinal(Box<scram::AwaitFinal>),
    ScramAcknowledge { username: String, authzid: Option<String> },
    Over,
}

impl Server {
    /// Begins an exchange. `initial` is the decoded initial response; `None` when the client sent none, which differs
    /// from an empty one (RFC 4422 section 5).
    pub fn start(mechanism: Mechanism, material: Material, initial: Option<&[u8]>) -> (Server, Step) {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramFirst(material),
        };
        let mut server = Server { state };
        let step = match (initial, mechanism) {
            (Some(message), _) => server.respond(message),
            (None, Mechanism::Login) => Step::Challenge(login::USERNAME_PROMPT.to_vec()),
            // RFC 4422 section 3: a client-first mechanism without initial response gets an empty challenge.
            (None, _) => Step::Challenge(Vec::new()),
        };
        (server, step)
    }

    /// Takes the client's decoded answer to the last challenge.
    pub fn respond(&mut self, message: &[u8]) -> Step {
        let state = std::mem::replace(&mut self.state, State::Over);
        if message.len() > MESSAGE_BYTES_MAX {
            return Step::Failed(Failure::TooLong);
        }
        match self.advance(state, message) {
            Ok(step) => step,
            Err(failure) => Step::Failed(failure),
        }
    }

    /// Answers [`Step::CheckPassword`].
    pub fn password_result(&mut self, correct: bool) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Password { username, authzid } if correct => Step::Done { username, authzid },
            State::Password { .. } => Step::Failed(Failure::BadCredentials),
            _ => Step::Failed(Failure::OutOfOrder),
        }
    }

    /// Answers [`Step::NeedScram`]. Without keys the exchange goes on with made-up ones and fails at its end, so that
    /// an unknown user cannot be told from a wrong password.
    pub fn scram_keys(&mut self, keys: Option<ScramKeys>) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::ScramKeys(waiting) => {
                let (next, challenge) = waiting.challenge(keys);
                self.state = State::ScramFinal(Box::new(next));
                Step::Challenge(challenge)
            }
            _ => Step::Failed(Failure::OutOfOrder),
        }
    }

    fn advance(&mut self, state: State, message: &[u8]) -> Result<Step, Failure> {
        match state {
            State::Plain => {
                let plain::Credentials { authzid, username, password } = plain::parse(message)?;
                Ok(self.check_password(authzid, username, password))
            }
            State::LoginName => {
                let username = prepare_name(text(message)?)?;
                self.state = State::LoginPassword { username };
                Ok(Step::Challenge(login::PASSWORD_PROMPT.to_vec()))
            }
            State::LoginPassword { username } => {
                let password = prepare_password(text(message)?)?;
                Ok(self.check_password(None, username, password))
            }
            State::ScramFirst(material) => {
                let waiting = scram::client_first(message, material)?;
                let username = waiting.username().to_owned();
                self.state = State::ScramKeys(Box::new(waiting));
                Ok(Step::NeedScram { username })
            }
            State::ScramFinal(waiting) => {
                let scram::Verified { username, authzid, server_final } = waiting.verify(message)?;
                self.state = State::ScramAcknowledge { username, authzid };
                Ok(Step::Challenge(server_final))
            }
            // RFC 5802 section 5: the client acknowledges server-final with an empty message.
            State::ScramAcknowledge { username, authzid } if message.is_empty() => Ok(Step::Done { username, authzid }),
            State::ScramAcknowledge { .. } => Err(Failure::Malformed),
            State::Password { .. } | State::ScramKeys(_) | State::Over => Err(Failure::OutOfOrder),
        }
    }

    fn check_password(&mut self, authzid: Option<String>, username: String, password: Password) -> Step {
        let authzid = authzid.filter(|identity| *identity != username);
        self.state = State::Password { username: username.clone(), authzid: authzid.clone() };
        Step::CheckPassword { authzid, username, password }
    }
}

/// Prepares a password by SASLprep (RFC 4013), as it must be done both when it is set and when it is checked.
///
/// # Errors
/// `Malformed` when it holds prohibited or unassigned code points or is empty afterwards (RFC 4616 section 2),
/// `TooLong` over the bound.
pub fn prepare_password(password: &str) -> Result<Password, Failure> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    let prepared = stringprep::saslprep(password).map_err(|_| Failure::Malformed)?;
    if prepared.is_empty() {
        return Err(Failure::Malformed);
    }
    Ok(Password::new(prepared.into_owned()))
}

/// Prepares a user name by SASLprep (RFC 4013); case is left as it is.
///
/// # Errors
/// As [`prepare_password`].
pub fn prepare_name(name: &str) -> Result<String, Failure> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    let prepared = stringprep::saslprep(name).map_err(|_| Failure::Malformed)?;
    if prepared.is_empty() {
        return Err(Failure::Malformed);
    }
    Ok(prepared.into_owned())
}

fn text(message: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(message).map_err(|_| Failure::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn material() -> Material {
        Material::new(&[7; 18], [1; 32])
    }

    #[test]
    fn plain_with_initial_response_asks_for_the_password_check() {
        let (mut server, step) = Server::start(Mechanism::Plain, material(), Some(b"\0ann@example.org\0secret"));
        let expected = Step::CheckPassword {
            authzid: None,
            username: "ann@example.org".into(),
            password: Password::new("secret".into()),
        };
        assert_eq!(step, expected);
        assert_eq!(server.password_result(true), Step::Done { username: "ann@example.org".into(), authzid: None });
        assert_eq!(server.password_result(true), Step::Failed(Failure::OutOfOrder));
    }

    #[test]
    fn plain_keeps_a_different_authzid_and_drops_an_equal_one() {
        let (mut server, _) = Server::start(Mechanism::Plain, material(), Some(b"bob\0ann\0secret"));
        assert_eq!(server.password_result(true), Step::Done { username: "ann".into(), authzid: Some("bob".into()) });
        let (mut server, _) = Server::start(Mechanism::Plain, material(), Some(b"ann\0ann\0secret"));
        assert_eq!(server.password_result(true), Step::Done { username: "ann".into(), authzid: None });
    }

    #[test]
    fn login_asks_twice() {
        let (mut server, step) = Server::start(Mechanism::Login, material(), None);
        assert_eq!(step, Step::Challenge(b"Username:".to_vec()));
        assert_eq!(server.respond(b"ann"), Step::Challenge(b"Password:".to_vec()));
        assert!(matches!(server.respond(b"secret"), Step::CheckPassword { .. }));
        assert_eq!(server.password_result(false), Step::Failed(Failure::BadCredentials));
    }

    #[test]
    fn the_password_is_prepared_and_never_printed() {
        // RFC 4013 section 3: SOFT HYPHEN is mapped to nothing, U+2168 is normalised to "IX".
        let (_, step) = Server::start(Mechanism::Plain, material(), Some("\0ann\0I\u{ad}X\u{2168}".as_bytes()));
        let Step::CheckPassword { ref password, .. } = step else { panic!("{step:?}") };
        assert_eq!(password.as_str(), "IXIX");
        assert!(!format!("{step:?}").contains("IXIX"));
    }

    #[test]
    fn a_message_over_the_bound_fails() {
        let (_, step) = Server::start(Mechanism::Plain, material(), Some(&vec![b'a'; MESSAGE_BYTES_MAX + 1]));
        assert_eq!(step, Step::Failed(Failure::TooLong));
    }

    proptest! {
        #[test]
        fn no_message_panics(mechanism in 0..3_usize, messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let (mut server, _) = Server::start(Mechanism::ALL[mechanism], material(), None);
            for message in &messages {
                match server.respond(message) {
                    Step::CheckPassword { .. } => { server.password_result(false); }
                    Step::NeedScram { .. } => { server.scram_keys(None); }
                    _ => {}
                }
            }
        }
    }
}
