//! APPEND, read before its literal has arrived: the message streams past, it is never part of a command.

use super::cursor::{Cursor, Parsed, syntax};
use super::date::date_time;
use super::flags::{flag_list, mailbox};
use crate::imap::store::FlagNames;

/// What stands before one message's literal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendMessage {
    /// Flags to set.
    pub flags: FlagNames,
    /// Seconds since 1970 UTC.
    pub internaldate: Option<i64>,
    /// The literal is inside `UTF8 (...)` (RFC 6855): a parenthesis follows it.
    pub utf8: bool,
}

/// What the text before a literal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendHead {
    /// Not an APPEND, or the literal is its mailbox name: an ordinary literal.
    No,
    /// The literal is the first message of an APPEND.
    Message {
        /// The command's tag.
        tag: String,
        /// The target.
        mailbox: String,
        /// About the message.
        message: AppendMessage,
    },
}

/// Looks at a command that breaks off before the head of a literal.
///
/// ```text
/// append = "APPEND" SP mailbox 1*append-message            ; RFC 3502
/// append-message = [SP flag-list] [SP date-time] SP append-data
/// append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"   ; RFC 6855
/// ```
pub fn append_head(before: &[u8], utf8_names: bool) -> Parsed<AppendHead> {
    let mut cursor = Cursor::new(before);
    let Ok(tag) = cursor.tag() else {
        return Ok(AppendHead::No);
    };
    if !(cursor.skip_word(" APPEND ")) || cursor.at_end() {
        return Ok(AppendHead::No);
    }
    let mailbox = mailbox(&mut cursor, utf8_names)?;
    let message = message(&mut cursor)?;
    Ok(AppendHead::Message { tag: tag.to_owned(), mailbox, message })
}

/// What stands between two messages of one APPEND: `[SP flag-list] [SP date-time] SP`.
pub fn next_message(before: &[u8]) -> Parsed<AppendMessage> {
    message(&mut Cursor::new(before))
}

fn message(cursor: &mut Cursor<'_>) -> Parsed<AppendMessage> {
    let mut message = AppendMessage::default();
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        message.flags = flag_list(cursor)?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        message.internaldate = Some(date_time(cursor)?);
        cursor.space()?;
    }
    message.utf8 = cursor.skip_word("UTF8 (");
    if cursor.at_end() { Ok(message) } else { syntax("Invalid APPEND arguments") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::store::Flags;

    #[test]
    fn heads() {
        let head = append_head(b"a append \"x y\" (\\Seen) \" 1-Jan-1970 00:00:01 +0000\" UTF8 (", false);
        let message = AppendMessage {
            flags: FlagNames { system: Flags::SEEN, keywords: Vec::new() },
            internaldate: Some(1),
            utf8: true,
        };
        assert_eq!(head, Ok(AppendHead::Message { tag: "a".into(), mailbox: "x y".into(), message }));
        assert_eq!(append_head(b"a APPEND ", false), Ok(AppendHead::No));
        assert_eq!(append_head(b"a LOGIN ", false), Ok(AppendHead::No));
        assert!(append_head(b"a APPEND {1}\r\nx (\\Seen) foo ", false).is_err());
        assert!(matches!(append_head(b"a APPEND {1}\r\nx ", false), Ok(AppendHead::Message { .. })));
        assert_eq!(next_message(b" "), Ok(AppendMessage::default()));
    }
}
