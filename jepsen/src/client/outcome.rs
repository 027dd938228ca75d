//! How an operation ended, as far as its client can know. ERROR-SEMANTICS.md says which reply means what.

use std::io;

/// The end of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<T> {
    /// Done.
    Ok(T),
    /// Certainly not done.
    Fail(String),
    /// Nobody knows.
    Unknown(String),
}

impl<T> Outcome<T> {
    /// Works on a result.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        match self {
            Outcome::Ok(value) => next(value),
            Outcome::Fail(why) => Outcome::Fail(why),
            Outcome::Unknown(why) => Outcome::Unknown(why),
        }
    }

    /// For what changes nothing: whatever is not done did not happen.
    pub fn harmless(self) -> Outcome<T> {
        match self {
            Outcome::Unknown(why) => Outcome::Fail(why),
            other => other,
        }
    }

    /// The result.
    pub fn ok(self) -> Option<T> {
        if let Outcome::Ok(value) = self { Some(value) } else { None }
    }
}

/// What the tagged line of an IMAP command means for a command that changes something.
pub fn of_imap<T>(status: &str, value: T) -> Outcome<T> {
    match status {
        status if status.starts_with("OK") => Outcome::Ok(value),
        // The node gave up waiting for a majority; the entry may still be in a log.
        status if status.starts_with("NO [UNAVAILABLE]") || status.starts_with("NO [SERVERBUG]") => {
            Outcome::Unknown(status.to_owned())
        }
        status => Outcome::Fail(status.to_owned()),
    }
}

/// What the reply to the end of DATA means.
pub fn of_data(code: u16, text: &str) -> Outcome<()> {
    match code {
        250 => Outcome::Ok(()),
        // "Cannot be stored now" is also said when the proposal was not answered in time: it may still be stored.
        400..=499 => Outcome::Unknown(format!("{code} {text}")),
        _ => Outcome::Fail(format!("{code} {text}")),
    }
}

/// What a broken connection means after a command that changes something was sent.
pub fn of_broken<T>(error: &io::Error) -> Outcome<T> {
    Outcome::Unknown(match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed".to_owned(),
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_a_refusal() {
        assert_eq!(of_imap("OK done", 1), Outcome::Ok(1));
        assert!(matches!(of_imap("NO [UNAVAILABLE] later", 1), Outcome::Unknown(_)));
        assert!(matches!(of_imap("NO [TRYCREATE] no such folder", 1), Outcome::Fail(_)));
        assert!(matches!(of_imap("BAD what", 1), Outcome::Fail(_)));
        assert_eq!(of_data(250, ""), Outcome::Ok(()));
        assert!(matches!(of_data(451, ""), Outcome::Unknown(_)));
        assert!(matches!(of_data(552, ""), Outcome::Fail(_)));
        assert!(matches!(of_broken::<()>(&io::ErrorKind::UnexpectedEof.into()), Outcome::Unknown(_)));
    }
}
