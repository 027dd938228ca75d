//! AUTHENTICATE (RFC 9051 section 6.2.2, RFC 4959) and LOGIN (section 6.2.3). The mechanisms are `crate::sasl`'s; here
//! are their lines and what success means.

use super::capability::{capabilities, readable_passwords_allowed};
use super::{Finish, News, Step, call};
use crate::imap::core::Core;
use crate::imap::output::Output;
use crate::imap::store::{Request, StoreError};
use crate::sasl::{self, Material, Mechanism, Password, ScramKeys, wire};

pub(super) fn start(core: &mut Core, mechanism: String, initial: Option<Vec<u8>>) -> Step {
    match Mechanism::from_name(&mechanism) {
        None => Finish::no("[CANNOT]", "Unsupported authentication mechanism").news(News::Hold).into(),
        Some(known) if known.reveals_password() && !readable_passwords_allowed(core) => privacy_required(),
        Some(_) => Step::Authenticate { mechanism, initial },
    }
}

pub(super) fn login(core: &mut Core, username: String, password: Password) -> Step {
    if !readable_passwords_allowed(core) {
        return privacy_required();
    }
    match (sasl::prepare_name(&username), sasl::prepare_password(password.as_str())) {
        (Ok(username), Ok(password)) => Step::Login { username, password },
        _ => failed(core),
    }
}

fn privacy_required() -> Step {
    Finish::no("[PRIVACYREQUIRED]", "Plaintext authentication is not allowed without TLS").news(News::Hold).into()
}

/// Why an exchange waits for its driver or client.
pub(crate) enum Turn {
    /// For the driver: do this and call back.
    Driver(Output),
    /// For the client: send this line, read one.
    Client(Vec<u8>),
    /// It is over.
    Over(Step),
}

/// One exchange. LOGIN is one without lines.
pub(crate) struct Exchange {
    state: State,
}

enum State {
    /// Waits for random bytes.
    Material {
        mechanism: Mechanism,
        initial: Option<Vec<u8>>,
    },
    Sasl(Box<sasl::Server>),
    Login {
        username: String,
    },
}

impl Exchange {
    pub fn login(username: String, password: Password) -> (Self, Turn) {
        let turn = Output::CheckPassword { authzid: None, username: username.clone(), password };
        (Self { state: State::Login { username } }, Turn::Driver(turn))
    }

    pub fn authenticate(core: &mut Core, mechanism: &str, initial: Option<Vec<u8>>) -> Result<(Self, Turn), Step> {
        let initial = match initial.map(|initial| wire::decode_initial(&initial)).transpose() {
            Ok(initial) => initial,
            Err(_) => return Err(Finish::bad("Invalid base64 data").into()),
        };
        match Mechanism::from_name(mechanism) {
            Some(mechanism) => {
                Ok((Self { state: State::Material { mechanism, initial } }, Turn::Driver(Output::NeedSaslMaterial)))
            }
            None => Err(failed(core)),
        }
    }

    /// The driver brings random bytes.
    pub fn material(&mut self, core: &mut Core, material: Material) -> Turn {
        let State::Material { mechanism, initial } = &mut self.state else {
            return Turn::Over(failed(core));
        };
        let (server, step) = sasl::Server::start(*mechanism, material, initial.take().as_deref());
        self.state = State::Sasl(Box::new(server));
        turn(core, step)
    }

    /// The client answers a challenge.
    pub fn line(&mut self, core: &mut Core, line: &[u8]) -> Turn {
        if line == b"*" {
            // RFC 9051 section 6.2.2.
            return Turn::Over(Finish::bad("Authentication cancelled").into());
        }
        match (&mut self.state, wire::decode(line)) {
            (State::Sasl(server), Ok(message)) => {
                let step = server.respond(&message);
                turn(core, step)
            }
            _ => Turn::Over(Finish::bad("Invalid base64 data").into()),
        }
    }

    /// The driver has checked the password.
    pub fn password_result(&mut self, core: &mut Core, result: Result<bool, StoreError>) -> Turn {
        match (result, &mut self.state) {
            (Err(error), _) => Turn::Over(Finish::refused(error).news(News::Hold).into()),
            (Ok(true), State::Login { username }) => Turn::Over(open_account(std::mem::take(username), None)),
            (Ok(correct), State::Sasl(server)) => {
                let step = server.password_result(correct);
                turn(core, step)
            }
            _ => Turn::Over(failed(core)),
        }
    }

    /// The driver has looked up the keys.
    pub fn scram_keys(&mut self, core: &mut Core, keys: Result<Option<ScramKeys>, StoreError>) -> Turn {
        match (keys, &mut self.state) {
            (Err(error), _) => Turn::Over(Finish::refused(error).news(News::Hold).into()),
            (Ok(keys), State::Sasl(server)) => {
                let step = server.scram_keys(keys);
                turn(core, step)
            }
            _ => Turn::Over(failed(core)),
        }
    }
}

fn turn(core: &mut Core, step: sasl::Step) -> Turn {
    match step {
        sasl::Step::Challenge(challenge) => Turn::Client(format!("+ {}\r\n", wire::encode(&challenge)).into_bytes()),
        sasl::Step::CheckPassword { authzid, username, password } => {
            Turn::Driver(Output::CheckPassword { authzid, username, password })
        }
        sasl::Step::NeedScram { username } => Turn::Driver(Output::NeedScram { username }),
        sasl::Step::Done { username, authzid } => Turn::Over(open_account(username, authzid)),
        sasl::Step::Failed(_) => Turn::Over(failed(core)),
    }
}

/// RFC 5530 section 3: the client learns no more than that it failed.
fn failed(core: &mut Core) -> Step {
    core.login_failures += 1;
    let finish = Finish::no("[AUTHENTICATIONFAILED]", "Authentication failed").news(News::Hold);
    if core.login_failures >= crate::limits::imap::LOGIN_FAILURES_MAX {
        core.line("BYE Too many failed logins");
        return Step::Close(finish);
    }
    finish.into()
}

fn open_account(username: String, authzid: Option<String>) -> Step {
    call(Request::OpenAccount { username, authzid }, |core, reply| match reply {
        Ok(_) => {
            core.authenticated = true;
            core.login_failures = 0;
            let code = format!("[CAPABILITY {}]", capabilities(core));
            Finish::ok("Logged in").with_code(code).into()
        }
        Err(StoreError::NotPermitted) => {
            Finish::no("[AUTHORIZATIONFAILED]", "Not allowed to act as this user").news(News::Hold).into()
        }
        Err(error) => Finish::refused(error).news(News::Hold).into(),
    })
}
