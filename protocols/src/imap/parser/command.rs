//! Commands: the typed form of one complete command line with its literals.

use super::cursor::{Cursor, ParseError, Parsed, syntax};
use super::fetch::{FetchArguments, fetch};
use super::flags::{mailbox, store_flags};
use super::list::{ListArguments, StatusItem, list, pattern, status_items};
use super::search::{SearchArguments, search};
use super::sequence::{SequenceSet, known_uids, plain_set, sequence_set};
use crate::imap::store::{FlagNames, ModSeq, SpecialUse, StoreAction};
use crate::imap::uids::UidRanges;
use crate::limits::imap::ID_STRINGS_MAX;
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

/// Arguments of SELECT and EXAMINE.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SelectArguments {
    /// The mailbox.
    pub mailbox: String,
    /// EXAMINE.
    pub examine: bool,
    /// `(CONDSTORE)`
    pub condstore: bool,
    /// `(QRESYNC (...))`
    pub qresync: Option<QresyncArguments>,
}

/// RFC 7162 section 3.2.5.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct QresyncArguments {
    /// Last known.
    pub uidvalidity: u32,
    /// Last known.
    pub modseq: ModSeq,
    /// UIDs the client knows of; `None`: all.
    pub known_uids: Option<UidRanges>,
    /// Sequence numbers and their UIDs as the client remembers them, in parallel.
    pub matching: Option<MatchData>,
}

/// Ranges of sequence numbers and of UIDs that belong together, in parallel.
pub type MatchData = (Vec<(u32, u32)>, Vec<(u32, u32)>);

/// Arguments of STORE.
#[derive(Debug, PartialEq, Eq)]
pub struct StoreArguments {
    /// Which messages.
    pub set: SequenceSet,
    /// RFC 7162 section 3.1.3.
    pub unchanged_since: Option<ModSeq>,
    /// How.
    pub action: StoreAction,
    /// `.SILENT`
    pub silent: bool,
    /// Which.
    pub flags: FlagNames,
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

/// Commands about the session itself.
fn session_command(cursor: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
    Ok(match name {
        "AUTHENTICATE" => authenticate(cursor)?,
        "LOGIN" => {
            let username = cursor.astring_text()?;
            cursor.space()?;
            let password = Password::new(cursor.astring_text()?);
            Command::Login { username, password }
        }
        "ID" => Command::Id(id_parameters(cursor)?),
        "ENABLE" => {
            let mut names = vec![cursor.atom()?.to_ascii_uppercase()];
            while cursor.skip(b' ') && !cursor.at_end() {
                names.push(cursor.atom()?.to_ascii_uppercase());
            }
            Command::Enable(names)
        }
        _ => {
            if !cursor.atom()?.eq_ignore_ascii_case("DEFLATE") {
                return syntax("Unknown compression mechanism");
            }
            Command::Compress
        }
    })
}

/// Commands about mailboxes.
fn mailbox_command(cursor: &mut Cursor<'_>, name: &str, utf8: bool) -> Parsed<Command> {
    Ok(match name {
        "SELECT" | "EXAMINE" => select(cursor, name == "EXAMINE", utf8)?,
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
/// authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]
/// initial-resp = (base64 / "=")     ; RFC 4959
/// ```
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mechanism = cursor.atom()?.to_owned();
    let initial = if cursor.skip(b' ') {
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        Some(cursor.take_while(base64).to_vec())
    } else {
        None
    };
    Ok(Command::Authenticate { mechanism, initial })
}

/// ```text
/// id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil   ; RFC 2971
/// ```
fn id_parameters(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut strings = Vec::new();
    if cursor.skip_word("NIL") {
        return Ok(strings);
    }
    cursor.expect(b'(', "Expected a list")?;
    while !cursor.skip(b')') {
        if strings.len() >= ID_STRINGS_MAX {
            return syntax("Too many ID parameters");
        }
        let value = cursor.nstring()?.unwrap_or_default();
        strings.push(String::from_utf8_lossy(&value).into_owned());
        cursor.skip(b' ');
    }
    Ok(strings)
}

/// ```text
/// select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]
/// select-param = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
/// seq-match-data = "(" known-sequence-set SP known-uid-set ")"
/// ```
fn select(cursor: &mut Cursor<'_>, examine: bool, utf8: bool) -> Parsed<Command> {
    let mailbox = mailbox(cursor, utf8)?;
    let mut arguments = SelectArguments { mailbox, examine, ..SelectArguments::default() };
    if cursor.skip_word(" (") {
        loop {
            match cursor.atom()?.to_ascii_uppercase().as_str() {
                "CONDSTORE" => arguments.condstore = true,
                "QRESYNC" => arguments.qresync = Some(qresync(cursor)?),
                _ => return syntax("Unknown SELECT parameter"),
            }
            if cursor.skip(b')') {
                break;
            }
            cursor.space()?;
        }
    }
    Ok(Command::Select(arguments))
}

fn qresync(cursor: &mut Cursor<'_>) -> Parsed<QresyncArguments> {
    let mut arguments = QresyncArguments::default();
    cursor.space()?;
    cursor.expect(b'(', "Expected QRESYNC parameters")?;
    arguments.uidvalidity = cursor.nonzero()?;
    cursor.space()?;
    arguments.modseq = cursor.number64()?;
    while cursor.skip(b' ') {
        if cursor.skip(b'(') {
            let sequences = plain_set(cursor)?;
            cursor.space()?;
            arguments.matching = Some((sequences, plain_set(cursor)?));
            cursor.expect(b')', "Invalid QRESYNC parameters")?;
        } else {
            arguments.known_uids = Some(known_uids(cursor)?);
        }
    }
    cursor.expect(b')', "Invalid QRESYNC parameters")?;
    Ok(arguments)
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

/// ```text
/// store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"] SP store-att-flags
/// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
/// ```
fn store(cursor: &mut Cursor<'_>) -> Parsed<StoreArguments> {
    let set = sequence_set(cursor)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.skip(b'(') {
        if !cursor.skip_word("UNCHANGEDSINCE ") {
            return syntax("Unknown STORE modifier");
        }
        unchanged_since = Some(cursor.number64()?);
        cursor.expect(b')', "Unknown STORE modifier")?;
        cursor.space()?;
    }
    let action = match (cursor.skip(b'+'), cursor.skip(b'-')) {
        (true, false) => StoreAction::Add,
        (false, true) => StoreAction::Remove,
        (false, false) => StoreAction::Replace,
        (true, true) => return syntax("Unknown STORE item"),
    };
    if !cursor.skip_word("FLAGS") {
        return syntax("Unknown STORE item");
    }
    let silent = cursor.skip_word(".SILENT");
    cursor.space()?;
    let flags = store_flags(cursor)?;
    Ok(StoreArguments { set, unchanged_since, action, silent, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<Command> {
        let (_, mut cursor) = split_tag(text.as_bytes())?;
        command(&mut cursor, false)
    }

    #[test]
    fn select_with_parameters() {
        let parsed = parse("a SELECT box (QRESYNC (7 9 1:5 (1,3 2,4)) CONDSTORE)").unwrap();
        let Command::Select(arguments) = parsed else { panic!() };
        let qresync = QresyncArguments {
            uidvalidity: 7,
            modseq: 9,
            known_uids: Some(UidRanges::range(1, 5)),
            matching: Some((vec![(1, 1), (3, 3)], vec![(2, 2), (4, 4)])),
        };
        assert_eq!((arguments.condstore, arguments.qresync), (true, Some(qresync)));
    }

    #[test]
    fn store_forms() {
        let parsed = parse("a UID STORE 1:* (UNCHANGEDSINCE 5) +flags.silent \\Seen $x").unwrap();
        let Command::Store(arguments, Addressing::Uid) = parsed else { panic!() };
        assert!(arguments.silent && arguments.action == StoreAction::Add);
        assert_eq!(arguments.unchanged_since, Some(5));
        assert_eq!(arguments.flags.keywords, ["$x"]);
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
