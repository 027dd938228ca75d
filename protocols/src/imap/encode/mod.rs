//! Pieces of responses, written to the end of a byte buffer. Fast where a response is written once per message.
//! Knows no session.

use super::mailbox_name;
use super::store::{Flags, MessageState};
use super::uids::UidRanges;

/// A number in decimal digits.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        start -= 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// A mailbox name: modified UTF-7, or UTF-8 when the client can read it. An atom would often do, but a quoted string
/// is always right.
pub fn mailbox(out: &mut Vec<u8>, name: &str, utf8: bool) {
    crate::mime::string(mailbox_name::encode(name, utf8).as_bytes(), utf8, out);
}

/// `1:3,7`
pub fn ranges(out: &mut Vec<u8>, set: &UidRanges) {
    for (index, &(first, last)) in set.ranges().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        range(out, first, last);
    }
}

/// `7` or `1:3`
pub fn range(out: &mut Vec<u8>, first: u32, last: u32) {
    number(out, first.into());
    if last != first {
        out.push(b':');
        number(out, last.into());
    }
}

const SYSTEM_FLAGS: [(Flags, &str); 5] = [
    (Flags::ANSWERED, "\\Answered"),
    (Flags::FLAGGED, "\\Flagged"),
    (Flags::DELETED, "\\Deleted"),
    (Flags::SEEN, "\\Seen"),
    (Flags::DRAFT, "\\Draft"),
];

/// `(\Seen $Junk)`
pub fn flags(out: &mut Vec<u8>, flags: Flags, keywords: &[String]) {
    out.push(b'(');
    let start = out.len();
    let mut word = |name: &str| {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    };
    for (flag, name) in SYSTEM_FLAGS {
        if flags.contains(flag) {
            word(name);
        }
    }
    if flags.0 >> Flags::KEYWORD_SHIFT != 0 {
        for (index, keyword) in keywords.iter().enumerate() {
            if Flags::keyword(index).is_some_and(|flag| flags.contains(flag)) {
                word(keyword);
            }
        }
    }
    out.push(b')');
}

/// `(\Answered \Flagged \Deleted \Seen \Draft $Junk)` with `extra` behind: the FLAGS and PERMANENTFLAGS lists.
pub fn flag_table(out: &mut Vec<u8>, keywords: &[String], extra: &str) {
    out.push(b'(');
    out.extend_from_slice(b"\\Answered \\Flagged \\Deleted \\Seen \\Draft");
    for keyword in keywords {
        out.push(b' ');
        out.extend_from_slice(keyword.as_bytes());
    }
    out.extend_from_slice(extra.as_bytes());
    out.push(b')');
}

/// Which items stand in a FETCH response made from the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateItems {
    /// `UID`
    pub uid: bool,
    /// `FLAGS`
    pub flags: bool,
    /// `MODSEQ`
    pub modseq: bool,
}

/// `* 1 FETCH (UID 5 FLAGS (\Seen) MODSEQ (9))`
pub fn fetch_state(out: &mut Vec<u8>, sequence: u32, state: &MessageState, items: StateItems, keywords: &[String]) {
    out.extend_from_slice(b"* ");
    number(out, sequence.into());
    out.extend_from_slice(b" FETCH (");
    state_items(out, state, items, keywords);
    out.extend_from_slice(b")\r\n");
}

/// `UID 5 FLAGS (\Seen) MODSEQ (9)`
pub fn state_items(out: &mut Vec<u8>, state: &MessageState, items: StateItems, keywords: &[String]) {
    let mut separator: &[u8] = b"";
    if items.uid {
        out.extend_from_slice(b"UID ");
        number(out, state.uid.into());
        separator = b" ";
    }
    if items.flags {
        out.extend_from_slice(separator);
        out.extend_from_slice(b"FLAGS ");
        flags(out, state.flags, keywords);
        separator = b" ";
    }
    if items.modseq {
        out.extend_from_slice(separator);
        out.extend_from_slice(b"MODSEQ (");
        number(out, state.modseq);
        out.push(b')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_their_ends() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn a_state_is_written_whole() {
        let state = MessageState { uid: 7, modseq: 9, flags: Flags(Flags::SEEN.0 | 1 << 9) };
        let mut out = Vec::new();
        let items = StateItems { uid: true, flags: true, modseq: true };
        fetch_state(&mut out, 3, &state, items, &["a".into(), "$b".into()]);
        assert_eq!(out, b"* 3 FETCH (UID 7 FLAGS (\\Seen $b) MODSEQ (9))\r\n");
    }
}
