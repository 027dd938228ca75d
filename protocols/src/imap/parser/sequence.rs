//! Sequence sets as written; what they mean depends on the snapshot.

use super::cursor::{Cursor, Parsed, syntax};
use crate::imap::uids::UidRanges;
use crate::limits::imap::SEQUENCE_RANGES_MAX;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceEnd {
    /// A number, not 0.
    Number(u32),
    /// `*`
    Last,
}

/// A sequence set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceSet {
    /// `$`, the saved search result (RFC 5182).
    Saved,
    /// Ranges in the order of writing, ends in either order.
    Ranges(Vec<(SequenceEnd, SequenceEnd)>),
}

/// ```text
/// sequence-set = (seq-number / seq-range) ["," sequence-set] / seq-last-command
/// seq-range    = seq-number ":" seq-number
/// seq-number   = nz-number / "*"
/// seq-last-command = "$"
/// ```
pub fn sequence_set(cursor: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    if cursor.skip(b'$') {
        return Ok(SequenceSet::Saved);
    }
    let mut ranges = Vec::new();
    loop {
        let first = sequence_end(cursor)?;
        let last = if cursor.skip(b':') { sequence_end(cursor)? } else { first };
        ranges.push((first, last));
        if !cursor.skip(b',') {
            return Ok(SequenceSet::Ranges(ranges));
        }
        if ranges.len() >= SEQUENCE_RANGES_MAX {
            return syntax("Too many ranges");
        }
    }
}

fn sequence_end(cursor: &mut Cursor<'_>) -> Parsed<SequenceEnd> {
    if cursor.skip(b'*') {
        return Ok(SequenceEnd::Last);
    }
    match cursor.nonzero() {
        Ok(number) => Ok(SequenceEnd::Number(number)),
        Err(_) => syntax("Invalid messageset"),
    }
}

/// ```text
/// known-uids = sequence-set   ; without "*" and "$" (RFC 7162 section 7)
/// ```
pub fn plain_set(cursor: &mut Cursor<'_>) -> Parsed<Vec<(u32, u32)>> {
    let SequenceSet::Ranges(ranges) = sequence_set(cursor)? else {
        return syntax("Invalid messageset");
    };
    let plain = ranges.into_iter().map(|range| match range {
        (SequenceEnd::Number(first), SequenceEnd::Number(last)) => Some((first, last)),
        _ => None,
    });
    match plain.collect() {
        Some(plain) => Ok(plain),
        None => syntax("Invalid messageset"),
    }
}

/// [`plain_set`] as a set of UIDs.
pub fn known_uids(cursor: &mut Cursor<'_>) -> Parsed<UidRanges> {
    plain_set(cursor).map(UidRanges::from_ranges)
}

#[cfg(test)]
mod tests {
    use super::SequenceEnd::{Last, Number};
    use super::*;

    #[test]
    fn sets_are_read_as_written() {
        let set = sequence_set(&mut Cursor::new(b"1,5:3,7:*,*"));
        let ranges = vec![(Number(1), Number(1)), (Number(5), Number(3)), (Number(7), Last), (Last, Last)];
        assert_eq!(set, Ok(SequenceSet::Ranges(ranges)));
        assert_eq!(sequence_set(&mut Cursor::new(b"$")), Ok(SequenceSet::Saved));
        for bad in ["0", "1,", "1:", ":1", "a", "4294967296", ""] {
            assert!(sequence_set(&mut Cursor::new(bad.as_bytes())).is_err(), "{bad:?}");
        }
    }
}
