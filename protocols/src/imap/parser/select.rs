//! SELECT and EXAMINE, with the parameters of CONDSTORE and QRESYNC (RFC 7162).

use super::cursor::{Cursor, Parsed, syntax};
use super::flags::mailbox;
use super::sequence::{known_uids, plain_set};
use crate::imap::store::ModSeq;
use crate::imap::uids::UidRanges;

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

/// What follows the command's name. `utf8`: mailbox names are UTF-8.
///
/// ```text
/// select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]
/// select-param = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
/// seq-match-data = "(" known-sequence-set SP known-uid-set ")"
/// ```
pub fn select(cursor: &mut Cursor<'_>, examine: bool, utf8: bool) -> Parsed<SelectArguments> {
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
    Ok(arguments)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn select_with_parameters() {
        let arguments = select(&mut Cursor::new(b"box (QRESYNC (7 9 1:5 (1,3 2,4)) CONDSTORE)"), false, false).unwrap();
        let qresync = QresyncArguments {
            uidvalidity: 7,
            modseq: 9,
            known_uids: Some(UidRanges::range(1, 5)),
            matching: Some((vec![(1, 1), (3, 3)], vec![(2, 2), (4, 4)])),
        };
        assert_eq!((arguments.condstore, arguments.qresync), (true, Some(qresync)));
    }
}
