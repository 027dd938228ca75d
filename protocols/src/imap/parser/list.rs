//! LIST with its extensions, and STATUS items.

use super::cursor::{Cursor, Parsed, syntax};
use super::flags::mailbox;
use crate::imap::mailbox_name;
use crate::limits::imap::LIST_PATTERNS_MAX;

/// Arguments of LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListArguments {
    /// Which mailboxes (RFC 5258 section 3).
    pub select: ListSelect,
    /// Decoded reference name.
    pub reference: String,
    /// Decoded patterns; one, unless the extended form was used.
    pub patterns: Vec<String>,
    /// What to say of each.
    pub returning: ListReturn,
    /// The extended form was used: selection options, several patterns or RETURN.
    pub extended: bool,
}

/// LIST selection options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `REMOTE`: there are none.
    pub remote: bool,
    /// `RECURSIVEMATCH`
    pub recursive_match: bool,
    /// `SPECIAL-USE` (RFC 6154)
    pub special_use: bool,
}

/// LIST return options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `CHILDREN`
    pub children: bool,
    /// `SPECIAL-USE`
    pub special_use: bool,
    /// `STATUS (...)` (RFC 5819)
    pub status: Vec<StatusItem>,
}

/// STATUS data items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT`
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`
    Unseen,
    /// `DELETED` (RFC 9051)
    Deleted,
    /// `SIZE` (RFC 8438)
    Size,
    /// `HIGHESTMODSEQ` (RFC 7162)
    HighestModSeq,
    /// `MAILBOXID` (RFC 8474)
    MailboxId,
}

/// ```text
/// list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
/// list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"
/// mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
/// list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
/// ```
pub fn list(cursor: &mut Cursor<'_>, utf8: bool) -> Parsed<ListArguments> {
    let mut arguments = ListArguments::default();
    if cursor.peek() == Some(b'(') {
        arguments.extended = true;
        each_word(cursor, |cursor, word| select_option(cursor, word, &mut arguments.select))?;
        cursor.space()?;
    }
    let select = arguments.select;
    if select.recursive_match && !(select.subscribed || select.special_use) {
        // RFC 5258 section 3: RECURSIVEMATCH needs another selection option.
        return syntax("RECURSIVEMATCH needs another option");
    }
    arguments.reference = mailbox(cursor, utf8)?;
    cursor.space()?;
    if cursor.skip(b'(') {
        arguments.extended = true;
        loop {
            arguments.patterns.push(pattern(cursor, utf8)?);
            if cursor.skip(b')') {
                break;
            }
            if arguments.patterns.len() >= LIST_PATTERNS_MAX {
                return syntax("Too many patterns");
            }
            cursor.space()?;
        }
    } else {
        arguments.patterns.push(pattern(cursor, utf8)?);
    }
    if cursor.skip(b' ') {
        if !cursor.skip_word("RETURN ") {
            return syntax("Expected RETURN");
        }
        arguments.extended = true;
        each_word(cursor, |cursor, word| return_option(cursor, word, &mut arguments.returning))?;
    }
    Ok(arguments)
}

/// ```text
/// list-mailbox = 1*list-char / string
/// list-char    = ATOM-CHAR / list-wildcards / resp-specials
/// ```
pub fn pattern(cursor: &mut Cursor<'_>, utf8: bool) -> Parsed<String> {
    let decoded = match cursor.peek() {
        Some(b'"' | b'{') => mailbox_name::decode(&cursor.string()?, utf8),
        _ => {
            let run = cursor.take_while(|byte| super::cursor::is_astring_char(byte) || matches!(byte, b'%' | b'*'));
            if run.is_empty() {
                return syntax("Expected a mailbox pattern");
            }
            mailbox_name::decode(run, utf8)
        }
    };
    match decoded {
        Some(pattern) => Ok(pattern),
        None => syntax("Mailbox pattern is not valid"),
    }
}

/// Reads `"(" [word *(SP word)] ")"`; `option` may take arguments of its word.
fn each_word(cursor: &mut Cursor<'_>, mut option: impl FnMut(&mut Cursor<'_>, &str) -> Parsed<()>) -> Parsed<()> {
    cursor.expect(b'(', "Expected a list")?;
    if cursor.skip(b')') {
        return Ok(());
    }
    loop {
        let word = cursor.atom()?.to_ascii_uppercase();
        option(cursor, &word)?;
        if cursor.skip(b')') {
            return Ok(());
        }
        cursor.space()?;
    }
}

fn select_option(_: &mut Cursor<'_>, word: &str, select: &mut ListSelect) -> Parsed<()> {
    match word {
        "SUBSCRIBED" => select.subscribed = true,
        "REMOTE" => select.remote = true,
        "RECURSIVEMATCH" => select.recursive_match = true,
        "SPECIAL-USE" => select.special_use = true,
        _ => return syntax("Unknown LIST selection option"),
    }
    Ok(())
}

fn return_option(cursor: &mut Cursor<'_>, word: &str, returning: &mut ListReturn) -> Parsed<()> {
    match word {
        "SUBSCRIBED" => returning.subscribed = true,
        "CHILDREN" => returning.children = true,
        "SPECIAL-USE" => returning.special_use = true,
        "STATUS" => {
            cursor.space()?;
            returning.status = status_items(cursor)?;
        }
        _ => return syntax("Unknown LIST return option"),
    }
    Ok(())
}

/// ```text
/// status-att = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / "DELETED" / "SIZE" / "RECENT" / "HIGHESTMODSEQ" / "MAILBOXID"
/// ```
pub fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    let mut items = Vec::new();
    each_word(cursor, |_, word| {
        let item = match word {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "DELETED" => StatusItem::Deleted,
            "SIZE" => StatusItem::Size,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "MAILBOXID" => StatusItem::MailboxId,
            _ => return syntax("Unknown STATUS item"),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() {
        return syntax("Missing STATUS item");
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<ListArguments> {
        let mut cursor = Cursor::new(text.as_bytes());
        let arguments = list(&mut cursor, false)?;
        cursor.end()?;
        Ok(arguments)
    }

    #[test]
    fn plain_and_extended() {
        let plain = parse("\"\" %").unwrap();
        assert!(!plain.extended && plain.patterns == ["%"]);
        let extended =
            parse("(SUBSCRIBED RECURSIVEMATCH) \"a/\" (\"x*\" y%) RETURN (CHILDREN STATUS (UNSEEN SIZE))").unwrap();
        assert!(extended.extended && extended.select.subscribed && extended.returning.children);
        assert_eq!(extended.patterns, ["x*", "y%"]);
        assert_eq!(extended.returning.status, [StatusItem::Unseen, StatusItem::Size]);
    }

    #[test]
    fn bad_lists() {
        for bad in [
            "",
            "\"\"",
            "(FOO) \"\" *",
            "(RECURSIVEMATCH) \"\" *",
            "\"\" * RETURN (FOO)",
            "\"\" * RETURN (STATUS)",
            "\"\" ()",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
