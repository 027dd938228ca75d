//! Commands: the typed form of one complete command line with its literals.

use super::cursor::{Cursor, ParseError, Parsed, syntax};
use super::fetch::{FetchArguments, fetch};
use super::flags::mailbox;
use super::list::{ListArguments, StatusItem, list, pattern, status_items};
use super::search::{SearchArguments, search};
use super::select::{SelectArguments, select};
use super::sequence::{SequenceSet, sequence_set};
use super::session::session_command;
use super::store::{StoreArguments, store};
use crate::imap::store::SpecialUse;
use crate::sasl::Password;

/// One command, without its tag.
#[derive(Debug)]
pub enum Command {
    /// `CAPABILITY`
    Capability,
    /// `NOOP`
    Noop,
    /// `LOGOUT`
    Logout,
    /// `STARTTLS`
    StartTls,
    /// `AUTHENTICATE mechanism [initial-response]`, still in base64.
    Authenticate {
        /// As written.
        mechanism: String,
        /// `=`: empty.
        initial: Option<Vec<u8>>,
    },
    /// `LOGIN`
    Login {
        /// Who.
        username: String,
        /// The password.
        password: Password,
    },
    /// `ID` (RFC 2971); what the client says of itself.
    Id(Vec<String>),
    /// `ENABLE`, in capitals.
    Enable(Vec<String>),
    /// `COMPRESS DEFLATE`
    Compress,
    /// `SELECT` and `EXAMINE`.
    Select(SelectArguments),
    /// `CREATE`
    Create {
        /// As written, perhaps with a trailing delimiter.
        name: String,
        /// RFC 6154.
        special_use: Vec<SpecialUse>,
    },
    /// `DELETE`
    Delete(String),
    /// `RENAME`
    Rename {
        /// Old name.
        from: String,
        /// New name.
        to: String,
    },
    /// `SUBSCRIBE` (true) and `UNSUBSCRIBE`.
    Subscribe(String, bool),
    /// `LIST`
    List(ListArguments),
    /// `LSUB reference pattern`
    Lsub(String, String),
    /// `NAMESPACE`
    Namespace,
    /// `STATUS`
    Status(String, Vec<StatusItem>),
    /// `IDLE`
    Idle,
    /// `CHECK`
    Check,
    /// `CLOSE`
    Close,
    /// `UNSELECT`
    Unselect,
    /// `EXPUNGE`, `UID EXPUNGE set`
    Expunge(Option<SequenceSet>),
    /// `SEARCH`, `UID SEARCH`
    Search(SearchArguments, Addressing),
    /// `FETCH`, `UID FETCH`
    Fetch(FetchArguments, Addressing),
    /// `STORE`, `UID STORE`
    Store(StoreArguments, Addressing),
    /// `COPY`, `UID COPY`
    Copy(SequenceSet, String, Addressing),
    /// `MOVE`, `UID MOVE`
    Move(SequenceSet, String, Addressing),
}

/// How a command names messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// By sequence number.
    Sequence,
    /// `UID ...`
    Uid,
}

/// The tag of a command and what follows it; the tag is given back even when the rest is not understood.
///
/// ```text
/// command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
/// ```
pub fn split_tag(line: &[u8]) -> Parsed<(&str, Cursor<'_>)> {
    let mut cursor = Cursor::new(line);
    let tag = cursor.tag()?;
    Ok((tag, cursor))
}

/// Parses what follows the tag. `utf8`: mailbox names are UTF-8, not modified UTF-7.
pub fn command(cursor: &mut Cursor<'_>, utf8: bool) -> Parsed<Command> {
    cursor.space().map_err(|_| ParseError::Syntax("Missing command"))?;
    let name = cursor.atom()?.to_ascii_uppercase();
    let command = match plain_command(&name) {
        Some(command) => command,
        None => {
            if !ARGUMENT_COMMANDS.contains(&name.as_str()) {
                return syntax("Unknown command");
            }
            cursor.space()?;
            match name.as_str() {
                "UID" => uid_command(cursor, utf8)?,
                "SEARCH" | "FETCH" | "STORE" | "COPY" | "MOVE" => {
                    message_command(cursor, &name, Addressing::Sequence, utf8)?
                }
                "AUTHENTICATE" | "LOGIN" | "ID" | "ENABLE" | "COMPRESS" => session_command(cursor, &name)?,
                _ => mailbox_command(cursor, &name, utf8)?,
            }
        }
    };
    // quirk_trailing_space: some clients end a command with a space.
    while cursor.skip(b' ') {}
    cursor.end()?;
    Ok(command)
}

fn plain_command(name: &str) -> Option<Command> {
    Some(match name {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "NAMESPACE" => Command::Namespace,
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "EXPUNGE" => Command::Expunge(None),
        _ => return None,
    })
}

const ARGUMENT_COMMANDS: [&str; 22] = [
    "APPEND",
    "AUTHENTICATE",
    "COMPRESS",
    "COPY",
    "CREATE",
    "DELETE",
    "ENABLE",
    "EXAMINE",
    "FETCH",
    "ID",
    "LIST",
    "LOGIN",
    "LSUB",
    "MOVE",
    "RENAME",
    "SEARCH",
    "SELECT",
    "STATUS",
    "STORE",
    "SUBSCRIBE",
    "UID",
    "UNSUBSCRIBE",
];

/// Commands about mailboxes.
fn mailbox_command(cursor: &mut Cursor<'_>, name: &str, utf8: bool) -> Parsed<Command> {
    Ok(match name {
        "SELECT" | "EXAMINE" => Command::Select(select(cursor, name == "EXAMINE", utf8)?),
        "CREATE" => create(cursor, utf8)?,
        "DELETE" => Command::Delete(mailbox(cursor, utf8)?),
        "RENAME" => {
            let from = mailbox(cursor, utf8)?;
            cursor.space()?;
            Command::Rename { from, to: mailbox(cursor, utf8)? }
        }
        "SUBSCRIBE" => Command::Subscribe(mailbox(cursor, utf8)?, true),
        "UNSUBSCRIBE" => Command::Subscribe(mailbox(cursor, utf8)?, false),
        "LIST" => Command::List(list(cursor, utf8)?),
        "LSUB" => {
            let reference = mailbox(cursor, utf8)?;
            cursor.space()?;
            Command::Lsub(reference, pattern(cursor, utf8)?)
        }
        "STATUS" => {
            let name = mailbox(cursor, utf8)?;
            cursor.space()?;
            Command::Status(name, status_items(cursor)?)
        }
        _ => return syntax("APPEND needs a literal"),
    })
}

/// ```text
/// uid = "UID" SP (copy / move / fetch / search / store / uid-expunge)
/// uid-expunge = "EXPUNGE" SP sequence-set
/// ```
fn uid_command(cursor: &mut Cursor<'_>, utf8: bool) -> Parsed<Command> {
    let name = cursor.atom()?.to_ascii_uppercase();
    cursor.space()?;
    match name.as_str() {
        "EXPUNGE" => Ok(Command::Expunge(Some(sequence_set(cursor)?))),
        name => message_command(cursor, name, Addressing::Uid, utf8),
    }
}

fn message_command(cursor: &mut Cursor<'_>, name: &str, addressing: Addressing, utf8: bool) -> Parsed<Command> {
    Ok(match name {
        "SEARCH" => Command::Search(search(cursor)?, addressing),
        "FETCH" => Command::Fetch(fetch(cursor)?, addressing),
        "STORE" => Command::Store(store(cursor)?, addressing),
        "COPY" | "MOVE" => {
            let set = sequence_set(cursor)?;
            cursor.space()?;
            let target = mailbox(cursor, utf8)?;
            if name == "COPY" { Command::Copy(set, target, addressing) } else { Command::Move(set, target, addressing) }
        }
        _ => return syntax("Unknown UID command"),
    })
}

/// ```text
/// create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]
/// ```
fn create(cursor: &mut Cursor<'_>, utf8: bool) -> Parsed<Command> {
    let name = mailbox(cursor, utf8)?;
    let mut special_use = Vec::new();
    if cursor.skip_word(" (USE (") {
        while !cursor.skip(b')') {
            cursor.expect(b'\\', "Expected a special use")?;
            special_use.push(match cursor.atom()?.to_ascii_uppercase().as_str() {
                "ALL" => SpecialUse::All,
                "ARCHIVE" => SpecialUse::Archive,
                "DRAFTS" => SpecialUse::Drafts,
                "FLAGGED" => SpecialUse::Flagged,
                "JUNK" => SpecialUse::Junk,
                "SENT" => SpecialUse::Sent,
                "TRASH" => SpecialUse::Trash,
                _ => return syntax("Unknown special use"),
            });
            cursor.skip(b' ');
        }
        cursor.expect(b')', "Invalid CREATE parameters")?;
    }
    Ok(Command::Create { name, special_use })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<Command> {
        let (_, mut cursor) = split_tag(text.as_bytes())?;
        command(&mut cursor, false)
    }

    #[test]
    fn messages_are_named_by_number_or_by_uid() {
        let addressing = |text| match parse(text) {
            Ok(Command::Store(_, addressing) | Command::Fetch(_, addressing)) => Some(addressing),
            _ => None,
        };
        assert_eq!(addressing("a STORE 1:* flags \\Seen"), Some(Addressing::Sequence));
        assert_eq!(addressing("a UID STORE 1:* flags \\Seen"), Some(Addressing::Uid));
        assert_eq!(addressing("a uid fetch 1 flags"), Some(Addressing::Uid));
    }

    #[test]
    fn bad_commands() {
        for bad in [
            "",
            "a",
            "a ",
            "a FOO",
            "a UID",
            "a UID NOOP",
            "a UID FOO 1",
            "a NOOP x",
            "a SELECT",
            "a STORE 1 FLAG x",
            "a APPEND x",
            "a COMPRESS LZ4",
            "a CREATE x (USE (\\Foo))",
            "+ NOOP",
            "a LOGIN x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let parsed = parse("a LOGIN ann hunter2").unwrap();
        assert!(!format!("{parsed:?}").contains("hunter2"));
    }
}
