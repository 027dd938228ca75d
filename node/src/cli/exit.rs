//! Exit codes, for scripts. Documented in `mailnode --help`; a number once given keeps its meaning.

use crate::admin::{AdminError, ClientError};
use std::fmt::Display;
use std::process::{ExitCode, Termination};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The node refused: a name that exists, is not found or is not valid.
    Refused,
    /// A wrong flag, setting or file.
    Usage,
    /// No node runs with this data directory, or it does not answer.
    Unreachable,
    /// The node cannot do it now; trying again later may help.
    Unavailable,
    /// The node could not start.
    NotStarted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Unavailable => 4,
            Exit::NotStarted => 5,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The node or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// This end.
    #[error(transparent)]
    Local(#[from] std::io::Error),
}

impl Failure {
    /// Says it on standard error and gives the code.
    pub fn tell(self) -> Exit {
        let exit = match &self {
            // The reader has seen enough, as `head` does.
            Failure::Local(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Exit::Done,
            Failure::Client(ClientError::Node(AdminError::Refused(_))) => Exit::Refused,
            Failure::Client(ClientError::Node(_)) => Exit::Unavailable,
            Failure::Client(_) => Exit::Unreachable,
            Failure::Local(_) => Exit::Usage,
        };
        tell(&self, exit)
    }
}

/// Says an error on standard error.
pub fn tell(error: &impl Display, exit: Exit) -> Exit {
    eprintln!("mailnode: {error}");
    exit
}
