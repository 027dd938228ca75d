//! One file per command. A command starts with its parsed arguments and the session's [`Core`], and says by a
//! [`Step`] what happens next; while it waits for the store it is a [`Running`]. Never reads input itself.

pub(crate) mod append;
pub(crate) mod authenticate;
pub(crate) mod capability;
mod copy;
mod create;
mod delete;
mod enable;
mod expunge;
mod fetch;
mod fresh;
mod id;
pub(crate) mod idle;
mod list;
mod list_match;
mod logout;
mod lsub;
mod namespace;
mod noop;
mod rename;
mod search;
mod select;
mod status;
mod store;
mod subscribe;
pub(crate) mod sync;
mod transport;

use std::borrow::Cow;

use super::core::Core;
use super::parser::command::Command;
use super::store::{Reply, Request, StoreError};
use crate::sasl::Password;

/// What happens next in a command.
pub(crate) enum Step {
    /// The command is over.
    Finish(Finish),
    /// Ask the store, then go on.
    Call(Request, Box<dyn Running>),
    /// There is more to write when what waits has been taken.
    More(Box<dyn Running>),
    /// There is more to compute, but others should have their turn.
    Yield(Box<dyn Running>),
    /// Run a SASL exchange.
    Authenticate { mechanism: String, initial: Option<Vec<u8>> },
    /// Check a name and password.
    Login { username: String, password: Password },
    /// Idle until DONE.
    Idle,
    /// Finish, then do the TLS handshake.
    StartTls(Finish),
    /// Finish, then compress.
    Compress(Finish),
    /// Finish, then close.
    Close(Finish),
}

/// A command that waits.
pub(crate) trait Running: Send {
    /// The store has answered.
    fn reply(self: Box<Self>, core: &mut Core, reply: Result<Reply, StoreError>) -> Step;

    /// What was written has been taken, or others had their turn.
    fn resume(self: Box<Self>, _core: &mut Core) -> Step {
        Step::Finish(Finish::internal())
    }
}

/// Whether the client may learn of changes of the mailbox before the tagged response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// No (RFC 9051 section 7.5.1: sequence numbers must not move during FETCH, STORE, SEARCH).
    Hold,
    /// If there are any.
    IfAny,
    /// Ask the store in any case.
    Ask,
    /// Ask, and put HIGHESTMODSEQ into the tagged response if the client tracks it (RFC 7162 section 3.1.2.2).
    AskWithModSeq,
}

/// The end of a command.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    pub status: &'static str,
    /// Response code with its brackets, or empty.
    pub code: Cow<'static, str>,
    pub text: Cow<'static, str>,
    pub news: News,
}

impl Finish {
    pub fn ok(text: &'static str) -> Self {
        Self { status: "OK", code: "".into(), text: text.into(), news: News::IfAny }
    }

    pub fn no(code: &'static str, text: &'static str) -> Self {
        Self { status: "NO", code: code.into(), text: text.into(), news: News::IfAny }
    }

    pub fn bad(text: &'static str) -> Self {
        Self { status: "BAD", code: "".into(), text: text.into(), news: News::Hold }
    }

    /// The store answered with something that is no answer to the request.
    pub fn internal() -> Self {
        Self::refused(StoreError::Internal)
    }

    /// The response codes of RFC 5530.
    pub fn refused(error: StoreError) -> Self {
        match error {
            StoreError::NonExistent => Self::no("[NONEXISTENT]", "Mailbox does not exist"),
            StoreError::AlreadyExists => Self::no("[ALREADYEXISTS]", "Mailbox already exists"),
            StoreError::OverQuota => Self::no("[OVERQUOTA]", "Quota exceeded"),
            StoreError::Limit => Self::no("[LIMIT]", "A limit of the server is reached"),
            StoreError::TooBig => Self::no("[TOOBIG]", "Message is too large"),
            StoreError::Cannot => Self::no("[CANNOT]", "This is not possible here"),
            StoreError::NotPermitted => Self::no("[NOPERM]", "Permission denied"),
            StoreError::UseAttribute => Self::no("[USEATTR]", "Special use is not possible here"),
            // I8: the outcome may be unknown; the client looks again and finds out.
            StoreError::Unavailable => Self::no("[UNAVAILABLE]", "Temporarily unavailable, try again"),
            StoreError::Internal => Self::no("[SERVERBUG]", "Internal error"),
        }
    }

    /// [`Finish::refused`] for commands that put messages into a mailbox (RFC 9051 section 7.1, TRYCREATE).
    pub fn refused_target(error: StoreError) -> Self {
        match error {
            StoreError::NonExistent => Self::no("[TRYCREATE]", "Mailbox does not exist"),
            error => Self::refused(error),
        }
    }

    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    pub fn news(mut self, news: News) -> Self {
        self.news = news;
        self
    }
}

impl From<Finish> for Step {
    fn from(finish: Finish) -> Self {
        Step::Finish(finish)
    }
}

/// A command whose rest is one function of the store's answer.
struct Then<F>(F);

impl<F: FnOnce(&mut Core, Result<Reply, StoreError>) -> Step + Send> Running for Then<F> {
    fn reply(self: Box<Self>, core: &mut Core, reply: Result<Reply, StoreError>) -> Step {
        (self.0)(core, reply)
    }
}

/// Asks the store and goes on with `then`.
pub(crate) fn call(
    request: Request,
    then: impl FnOnce(&mut Core, Result<Reply, StoreError>) -> Step + Send + 'static,
) -> Step {
    Step::Call(request, Box::new(Then(then)))
}

/// Asks the store for something that has no answer but that it is done.
fn call_done(request: Request, done: Finish, refused: fn(StoreError) -> Finish) -> Step {
    call(request, move |_, reply| match reply {
        Ok(_) => done.into(),
        Err(error) => refused(error).into(),
    })
}

/// Where a command is allowed (RFC 9051 section 3).
enum Needs {
    Nothing,
    NotAuthenticated,
    Authenticated,
    Selected,
}

fn needs(command: &Command) -> Needs {
    match command {
        Command::Capability | Command::Noop | Command::Logout | Command::Id(_) => Needs::Nothing,
        Command::StartTls | Command::Authenticate { .. } | Command::Login { .. } => Needs::NotAuthenticated,
        // RFC 4978 section 3: COMPRESS is for authenticated clients too; before that it would help attackers only.
        Command::Compress
        | Command::Enable(_)
        | Command::Select(_)
        | Command::Create { .. }
        | Command::Delete(_)
        | Command::Rename { .. }
        | Command::Subscribe(..)
        | Command::List(_)
        | Command::Lsub(..)
        | Command::Namespace
        | Command::Status(..)
        | Command::Idle => Needs::Authenticated,
        Command::Check
        | Command::Close
        | Command::Unselect
        | Command::Expunge(_)
        | Command::Search(..)
        | Command::Fetch(..)
        | Command::Store(..)
        | Command::Copy(..)
        | Command::Move(..) => Needs::Selected,
    }
}

/// Starts a command in the state it needs, or refuses it.
pub(crate) fn start(core: &mut Core, tag: &str, command: Command) -> Step {
    let refused = match needs(&command) {
        Needs::NotAuthenticated if core.authenticated => Some("Already logged in"),
        Needs::Authenticated | Needs::Selected if !core.authenticated => Some("Please log in first"),
        Needs::Selected if core.selected.is_none() => Some("No mailbox selected"),
        _ => None,
    };
    match refused {
        Some(text) => Finish::bad(text).into(),
        None => match fresh::wanted(core, &command) {
            Some(wanted) => fresh::start(core, wanted, tag, command),
            None => dispatch(core, tag, command),
        },
    }
}

fn dispatch(core: &mut Core, tag: &str, command: Command) -> Step {
    match command {
        Command::Capability => capability::start(core),
        Command::Noop => noop::start("NOOP completed"),
        Command::Check => noop::start("CHECK completed"),
        Command::Logout => logout::start(core),
        Command::StartTls => transport::start_tls(core),
        Command::Compress => transport::compress(core),
        Command::Authenticate { mechanism, initial } => authenticate::start(core, mechanism, initial),
        Command::Login { username, password } => authenticate::login(core, username, password),
        Command::Id(_) => id::start(core),
        Command::Enable(names) => enable::start(core, &names),
        Command::Select(arguments) => select::start(core, arguments),
        Command::Create { name, special_use } => create::start(name, &special_use),
        Command::Delete(name) => delete::start(name),
        Command::Rename { from, to } => rename::start(from, to),
        Command::Subscribe(name, subscribed) => subscribe::start(name, subscribed),
        Command::List(arguments) => list::start(core, arguments),
        Command::Lsub(reference, pattern) => lsub::start(reference, pattern),
        Command::Namespace => namespace::start(core),
        Command::Status(name, items) => status::start(core, name, items),
        Command::Idle => Step::Idle,
        Command::Close => expunge::close(core),
        Command::Unselect => expunge::unselect(core),
        Command::Expunge(set) => expunge::start(core, set.as_ref()),
        Command::Search(arguments, addressing) => search::start(core, tag, arguments, addressing),
        Command::Fetch(arguments, addressing) => fetch::start(core, arguments, addressing),
        Command::Store(arguments, addressing) => store::start(core, arguments, addressing),
        Command::Copy(set, to, addressing) => copy::start(core, &set, to, addressing, false),
        Command::Move(set, to, addressing) => copy::start(core, &set, to, addressing, true),
    }
}
