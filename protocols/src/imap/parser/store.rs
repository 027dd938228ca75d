//! STORE: which flags of which messages become what.

use super::cursor::{Cursor, Parsed, syntax};
use super::flags::store_flags;
use super::sequence::{SequenceSet, sequence_set};
use crate::imap::store::{FlagNames, ModSeq, StoreAction};

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

/// What follows the command's name.
///
/// ```text
/// store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"] SP store-att-flags
/// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
/// ```
pub fn store(cursor: &mut Cursor<'_>) -> Parsed<StoreArguments> {
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

    #[test]
    fn store_forms() {
        let arguments = store(&mut Cursor::new(b"1:* (UNCHANGEDSINCE 5) +flags.silent \\Seen $x")).unwrap();
        assert!(arguments.silent && arguments.action == StoreAction::Add);
        assert_eq!(arguments.unchanged_since, Some(5));
        assert_eq!(arguments.flags.keywords, ["$x"]);
    }
}
