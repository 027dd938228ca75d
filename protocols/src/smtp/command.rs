//! Parser of SMTP and LMTP command lines: one line without its CRLF in, a typed command or the refusing reply out.
//! It must not know the state of the session: whether a command may come now is decided in `server`.

mod parameters;

use super::envelope::{Mail, Recipient};
use super::reply::{EnhancedCode, Reply};
use crate::address::{AddressError, Path, parse_path};
use crate::limits::smtp::HELO_BYTES_MAX;

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// HELO, EHLO or LHLO with the client's name.
    Hello(Hello, String),
    Mail(Mail),
    /// `None` instead of an address is `<Postmaster>`.
    Recipient(RecipientArguments),
    Data,
    /// RFC 3030 section 2: octets that follow, and whether they are the last.
    Bdat {
        bytes: u64,
        last: bool,
    },
    Reset,
    Noop,
    Quit,
    Verify,
    Expand,
    Help,
    StartTls,
    /// RFC 4954: mechanism name and initial response, still in base64.
    Auth {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
}

/// The three greetings of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    Helo,
    Ehlo,
    Lhlo,
}

/// What RCPT said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecipientArguments {
    Mailbox(Recipient),
    Postmaster { notify: Option<super::Notify>, original: Option<super::OriginalRecipient> },
}

/// Why a line is not a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommandError {
    /// Answer this and go on.
    Reply(Reply),
    /// A BDAT whose length is unknown: what follows cannot be told from commands, so the session has to end.
    OutOfStep(Reply),
}

impl From<Reply> for CommandError {
    fn from(reply: Reply) -> CommandError {
        CommandError::Reply(reply)
    }
}

/// Parses one line without its CRLF.
pub(super) fn parse(line: &[u8]) -> Result<Command, CommandError> {
    let line = std::str::from_utf8(line).map_err(|_| syntax("Command is not UTF-8"))?;
    if line.chars().any(char::is_control) {
        return Err(syntax("Control characters in command").into());
    }
    // quirk_trailing_space: RFC 5321 section 4.1.1 asks servers to tolerate white space before CRLF.
    let line = line.trim_end_matches(' ');
    let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "HELO" => hello(Hello::Helo, arguments),
        "EHLO" => hello(Hello::Ehlo, arguments),
        "LHLO" => hello(Hello::Lhlo, arguments),
        "MAIL" => mail(arguments).map_err(CommandError::Reply),
        "RCPT" => recipient(arguments).map_err(CommandError::Reply),
        "DATA" => without_arguments(arguments, Command::Data),
        "BDAT" => bdat(arguments).ok_or_else(|| CommandError::OutOfStep(argument("BDAT count [LAST]"))),
        "RSET" => without_arguments(arguments, Command::Reset),
        "QUIT" => without_arguments(arguments, Command::Quit),
        "STARTTLS" => without_arguments(arguments, Command::StartTls),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if !arguments.is_empty() => Ok(Command::Verify),
        "VRFY" => Err(argument("VRFY needs an address").into()),
        "EXPN" => Ok(Command::Expand),
        "AUTH" => auth(arguments).map_err(CommandError::Reply),
        _ => Err(Reply::new(500, EnhancedCode::new(5, 5, 2), "Command not recognised").into()),
    }
}

fn syntax(text: &'static str) -> Reply {
    Reply::new(500, EnhancedCode::new(5, 5, 2), text)
}

fn argument(text: &'static str) -> Reply {
    Reply::new(501, EnhancedCode::new(5, 5, 4), text)
}

fn without_arguments(arguments: &str, command: Command) -> Result<Command, CommandError> {
    if arguments.trim().is_empty() { Ok(command) } else { Err(argument("No arguments allowed").into()) }
}

/// quirk_helo_names: names that are no domains (underscores, bare words) are taken, since refusing them loses real
/// mail; white space and control characters are not.
fn hello(kind: Hello, name: &str) -> Result<Command, CommandError> {
    let name = name.trim();
    if name.is_empty() || name.len() > HELO_BYTES_MAX || name.contains(char::is_whitespace) {
        return Err(argument("A domain or address literal is needed").into());
    }
    Ok(Command::Hello(kind, name.to_owned()))
}

/// ```abnf
/// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]          ; RFC 5321 section 4.1.1.2
/// ```
fn mail(arguments: &str) -> Result<Command, Reply> {
    let (path, rest) = path_after("FROM:", arguments)?;
    let sender = match path {
        Path::Null => None,
        Path::Mailbox(address) => Some(address),
        Path::Postmaster => return Err(address_reply(AddressError::NoDomain, 1, 7)),
    };
    let mail = parameters::mail(rest, Mail { sender, ..Mail::default() })?;
    if !mail.smtputf8 && mail.sender.as_ref().is_some_and(|sender| !sender.is_ascii()) {
        return Err(needs_smtputf8());
    }
    Ok(Command::Mail(mail))
}

/// ```abnf
/// rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]
/// ```
/// (RFC 5321 section 4.1.1.3)
fn recipient(arguments: &str) -> Result<Command, Reply> {
    let (path, rest) = path_after("TO:", arguments)?;
    let (notify, original) = parameters::recipient(rest)?;
    Ok(Command::Recipient(match path {
        Path::Null => return Err(address_reply(AddressError::LocalPart, 1, 3)),
        Path::Postmaster => RecipientArguments::Postmaster { notify, original },
        Path::Mailbox(address) => RecipientArguments::Mailbox(Recipient { address, notify, original }),
    }))
}

/// The refusal of a UTF-8 address in a message without SMTPUTF8 (RFC 6531 section 3.5).
pub(super) fn needs_smtputf8() -> Reply {
    Reply::new(553, EnhancedCode::new(5, 6, 7), "UTF-8 addresses need SMTPUTF8")
}

fn path_after<'line>(keyword: &str, arguments: &'line str) -> Result<(Path, &'line str), Reply> {
    let arguments = arguments.trim_start_matches(' ');
    let found = arguments.get(..keyword.len()).is_some_and(|start| start.eq_ignore_ascii_case(keyword));
    let path = if found { arguments.get(keyword.len()..) } else { None };
    let Some(path) = path else {
        return Err(argument("MAIL FROM:<address> or RCPT TO:<address> expected"));
    };
    // quirk_space_after_colon: RFC 5321 section 3.3 forbids it, and programs send it all the same.
    let (path, rest) = parse_path(path.trim_start_matches(' '))
        .map_err(|error| if keyword == "TO:" { address_reply(error, 1, 3) } else { address_reply(error, 1, 7) })?;
    if rest.is_empty() || rest.starts_with(' ') {
        Ok((path, rest))
    } else {
        Err(argument("Parameters follow the address after a space"))
    }
}

/// RFC 3463 section 3.2: X.1.3 is a bad destination address, X.1.7 a bad sender address.
fn address_reply(error: AddressError, subject: u16, detail: u16) -> Reply {
    let text = match error {
        AddressError::NoDomain => "The address has no domain",
        AddressError::LocalPart => "The part before @ is not valid",
        AddressError::Domain => "The domain of the address is not valid",
        AddressError::TooLong => "The address is too long",
    };
    Reply::new(501, EnhancedCode::new(5, subject, detail), text)
}

/// ```abnf
/// bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ]            ; RFC 3030 section 2
/// chunk-size = 1*DIGIT
/// end-marker = "LAST"
/// ```
fn bdat(arguments: &str) -> Option<Command> {
    let mut words = arguments.split_ascii_whitespace();
    let digits = words.next()?;
    let bytes = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some(Command::Bdat { bytes, last })
}

/// ```abnf
/// auth-command = "AUTH" SP sasl-mech [SP initial-response]       ; RFC 4954 section 8
/// ```
fn auth(arguments: &str) -> Result<Command, Reply> {
    let mut words = arguments.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => Ok(Command::Auth {
            mechanism: mechanism.to_owned(),
            initial: initial.map(|initial| initial.as_bytes().to_vec()),
        }),
        _ => Err(argument("AUTH mechanism [initial-response]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(line: &str) -> u16 {
        match parse(line.as_bytes()) {
            Err(CommandError::Reply(reply) | CommandError::OutOfStep(reply)) => reply.code(),
            Ok(command) => panic!("{line}: {command:?}"),
        }
    }

    #[test]
    fn mail_takes_spaces_case_and_the_null_path() {
        assert_eq!(parse(b"mail From: <> "), Ok(Command::Mail(Mail::default())));
        let Ok(Command::Mail(mail)) = parse(b"MAIL FROM:<a@b.org> SIZE=5") else { panic!() };
        assert_eq!((mail.sender.map(|sender| sender.to_string()), mail.size), (Some("a@b.org".into()), Some(5)));
    }

    #[test]
    fn malformed_lines_get_the_code_of_their_fault() {
        for (line, code) in [
            ("FOO", 500),
            ("", 500),
            ("NOOP \u{7}", 500),
            ("EHLO", 501),
            ("EHLO a b", 501),
            ("DATA now", 501),
            ("MAIL", 501),
            ("MAIL FROM:", 501),
            ("MAIL FROM:a@b.org", 501),
            ("MAIL FROM:<a@b.org>SIZE=1", 501),
            ("MAIL FROM:<postmaster>", 501),
            ("MAIL FROM:<é@b.org>", 553),
            ("RCPT TO:<>", 501),
            ("RCPT FROM:<a@b.org>", 501),
            ("AUTH", 501),
            ("AUTH PLAIN a b", 501),
            ("BDAT", 501),
            ("BDAT x", 501),
            ("BDAT -1", 501),
            ("BDAT 99999999999999999999999", 501),
            ("BDAT 1 FIRST", 501),
            ("BDAT 1 LAST x", 501),
        ] {
            assert_eq!(refusal(line), code, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&line);
        }

        #[test]
        fn no_argument_panics(verb in "MAIL FROM:<|RCPT TO:<|BDAT |AUTH |EHLO ", rest in "\\PC{0,40}") {
            let _ = parse(format!("{verb}{rest}").as_bytes());
        }
    }
}
