//! Flags and mailbox names as arguments.

use super::cursor::{Cursor, Parsed, syntax};
use crate::imap::mailbox_name;
use crate::imap::store::{FlagNames, Flags};
use crate::limits::imap::{KEYWORD_BYTES_MAX, KEYWORDS_MAX};

/// ```text
/// mailbox = "INBOX" / astring
/// ```
pub fn mailbox(cursor: &mut Cursor<'_>, utf8: bool) -> Parsed<String> {
    match mailbox_name::decode(&cursor.astring()?, utf8) {
        Some(name) => Ok(name),
        None => syntax("Mailbox name is not valid"),
    }
}

/// ```text
/// flag-list = "(" [flag *(SP flag)] ")"
/// ```
pub fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<FlagNames> {
    cursor.expect(b'(', "Expected a flag list")?;
    let mut flags = FlagNames::default();
    if cursor.skip(b')') {
        return Ok(flags);
    }
    loop {
        flag(cursor, &mut flags)?;
        if cursor.skip(b')') {
            return Ok(flags);
        }
        cursor.space()?;
    }
}

/// ```text
/// store-att-flags = flag-list / (flag *(SP flag))
/// ```
pub fn store_flags(cursor: &mut Cursor<'_>) -> Parsed<FlagNames> {
    if cursor.peek() == Some(b'(') {
        return flag_list(cursor);
    }
    let mut flags = FlagNames::default();
    flag(cursor, &mut flags)?;
    while cursor.skip(b' ') {
        flag(cursor, &mut flags)?;
    }
    Ok(flags)
}

/// ```text
/// flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
/// ```
/// `\Recent` cannot be set by clients (RFC 3501 section 2.3.2); it is passed over.
fn flag(cursor: &mut Cursor<'_>, flags: &mut FlagNames) -> Parsed<()> {
    if cursor.skip(b'\\') {
        let name = cursor.atom()?;
        match system_flag(name) {
            Some(flag) => flags.system.0 |= flag.0,
            None if name.eq_ignore_ascii_case("Recent") => {}
            None => return syntax("Unknown system flag"),
        }
        return Ok(());
    }
    let keyword = cursor.atom()?;
    if keyword.len() > KEYWORD_BYTES_MAX {
        return syntax("Keyword too long");
    }
    let known = flags.keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword));
    if !known {
        if flags.keywords.len() >= KEYWORDS_MAX {
            return syntax("Too many keywords");
        }
        flags.keywords.push(keyword.to_owned());
    }
    Ok(())
}

fn system_flag(name: &str) -> Option<Flags> {
    let names = [
        ("Seen", Flags::SEEN),
        ("Answered", Flags::ANSWERED),
        ("Flagged", Flags::FLAGGED),
        ("Deleted", Flags::DELETED),
        ("Draft", Flags::DRAFT),
    ];
    names.into_iter().find(|known| known.0.eq_ignore_ascii_case(name)).map(|known| known.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_split_into_system_and_keywords() {
        let flags = flag_list(&mut Cursor::new(b"(\\seen $Junk \\Deleted $JUNK a \\Recent)")).unwrap();
        assert_eq!(flags.system.0, Flags::SEEN.0 | Flags::DELETED.0);
        assert_eq!(flags.keywords, ["$Junk", "a"]);
        assert!(flag_list(&mut Cursor::new(b"(\\Foo)")).is_err());
        assert!(flag_list(&mut Cursor::new(b"(a")).is_err());
    }
}
