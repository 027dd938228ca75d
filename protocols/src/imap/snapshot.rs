//! What the client has been told of its selected mailbox. Sequence numbers mean positions in it, so it changes only
//! when the protocol lets the client know. Talks to nobody.

use std::ops::Range;
use std::sync::Arc;

use super::parser::command::Addressing;
use super::parser::sequence::{SequenceEnd, SequenceSet};
use super::store::{Changes, FolderId, MessageState, ModSeq, Selected, Uid};
use super::uids::UidRanges;

/// The selected mailbox as this session sees it.
#[derive(Debug)]
pub struct Snapshot {
    /// The folder.
    pub folder: FolderId,
    /// Its UIDVALIDITY.
    pub uidvalidity: u32,
    /// The next UID when last asked.
    pub uidnext: Uid,
    /// Changes up to here are in the snapshot.
    pub highest_modseq: ModSeq,
    /// Keyword names.
    pub keywords: Arc<Vec<String>>,
    /// EXAMINE, or the account may not write.
    pub read_only: bool,
    /// The saved search result (RFC 5182).
    pub saved: UidRanges,
    messages: Arc<Vec<MessageState>>,
}

/// What applying changes did to a snapshot.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Sequence numbers that went, as they were before, rising.
    pub expunged: Vec<u32>,
    /// Their UIDs.
    pub vanished: UidRanges,
    /// Messages came.
    pub grown: bool,
    /// Positions of messages, known before, whose flags changed; rising, positions as they are now.
    pub changed: Vec<u32>,
    /// The keyword table grew.
    pub keywords: bool,
}

/// Positions of messages in a snapshot: disjoint ranges, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    ranges: Vec<Range<usize>>,
}

/// A sequence number beyond the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSet;

impl Snapshot {
    /// Of a mailbox just opened.
    pub fn new(selected: &Selected, read_only: bool) -> Self {
        Self {
            folder: selected.folder,
            uidvalidity: selected.uidvalidity,
            uidnext: selected.uidnext,
            highest_modseq: selected.highest_modseq,
            keywords: selected.keywords.clone(),
            read_only: read_only || selected.read_only,
            saved: UidRanges::new(),
            messages: selected.messages.clone(),
        }
    }

    /// Sorted by UID; position + 1 is the sequence number.
    pub fn messages(&self) -> &[MessageState] {
        &self.messages
    }

    /// Number of messages.
    pub fn exists(&self) -> u32 {
        u32::try_from(self.messages.len()).unwrap_or(u32::MAX)
    }

    /// Position of a UID.
    pub fn position(&self, uid: Uid) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }

    /// The messages a set names. UIDs that do not exist are passed over (RFC 9051 section 6.4.9); a sequence number
    /// that does not exist makes the set invalid (section 9, seq-number).
    pub fn select(&self, set: &SequenceSet, addressing: Addressing) -> Result<Selection, InvalidSet> {
        let written = match set {
            SequenceSet::Saved => {
                return Ok(Selection::from_ranges(self.saved.ranges().iter().map(|range| self.uid_positions(*range))));
            }
            SequenceSet::Ranges(ranges) => ranges,
        };
        let mut ranges = Vec::with_capacity(written.len());
        for range in written {
            ranges.push(match addressing {
                Addressing::Uid => self.uid_positions(self.uid_ends(*range)),
                Addressing::Sequence => {
                    let (first, last) = (self.sequence(range.0)?, self.sequence(range.1)?);
                    first.min(last) - 1..first.max(last)
                }
            });
        }
        Ok(Selection::from_ranges(ranges))
    }

    /// A set of UIDs as written, existing or not. `*` is the greatest of all UIDs: what vanished may lie behind the
    /// last message that is left.
    pub fn written_uids(&self, set: &SequenceSet) -> UidRanges {
        let number = |end| match end {
            SequenceEnd::Number(number) => number,
            SequenceEnd::Last => Uid::MAX,
        };
        match set {
            SequenceSet::Saved => self.saved.clone(),
            SequenceSet::Ranges(ranges) => {
                UidRanges::from_ranges(ranges.iter().map(|range| (number(range.0), number(range.1))))
            }
        }
    }

    /// [`Snapshot::select`] for SEARCH, where sequence numbers that do not exist match nothing (as Dovecot has it:
    /// `SEARCH 1:*` is fine in an empty mailbox).
    pub fn select_existing(&self, set: &SequenceSet, addressing: Addressing) -> Selection {
        match (set, addressing) {
            (SequenceSet::Ranges(written), Addressing::Sequence) => {
                let number = |end| match end {
                    SequenceEnd::Number(number) => number as usize,
                    SequenceEnd::Last => self.messages.len(),
                };
                let positions = |range: &(SequenceEnd, SequenceEnd)| {
                    let (first, second) = (number(range.0), number(range.1));
                    first.min(second).saturating_sub(1)..first.max(second).min(self.messages.len())
                };
                Selection::from_ranges(written.iter().map(positions))
            }
            _ => self.select(set, addressing).unwrap_or_default(),
        }
    }

    fn uid_ends(&self, range: (SequenceEnd, SequenceEnd)) -> (Uid, Uid) {
        let last = self.messages.last().map_or(0, |message| message.uid);
        let number = |end| match end {
            SequenceEnd::Number(number) => number,
            SequenceEnd::Last => last,
        };
        let (first, second) = (number(range.0), number(range.1));
        (first.min(second), first.max(second))
    }

    fn uid_positions(&self, range: (Uid, Uid)) -> Range<usize> {
        let start = self.messages.partition_point(|message| message.uid < range.0);
        let end = self.messages.partition_point(|message| message.uid <= range.1);
        start..end
    }

    fn sequence(&self, end: SequenceEnd) -> Result<usize, InvalidSet> {
        let number = match end {
            SequenceEnd::Number(number) => number as usize,
            SequenceEnd::Last => self.messages.len(),
        };
        if (1..=self.messages.len()).contains(&number) { Ok(number) } else { Err(InvalidSet) }
    }

    /// The UIDs of a selection as few ranges: a range spans UIDs that do not exist, and none that the client does not
    /// know, because new messages come behind the last one.
    pub fn uids(&self, selection: &Selection) -> UidRanges {
        let mut uids = UidRanges::new();
        for range in &selection.ranges {
            if let Some([first, .., last] | [first @ last]) = self.messages.get(range.clone()) {
                uids.append(first.uid, last.uid);
            }
        }
        uids
    }

    /// Takes new states of known messages, sorted by UID; gives back the positions of those that are known.
    pub fn update(&mut self, states: &[MessageState]) -> Vec<u32> {
        let mut positions = Vec::with_capacity(states.len());
        if states.is_empty() {
            return positions;
        }
        let messages = Arc::make_mut(&mut self.messages);
        for state in states {
            let position = messages.binary_search_by_key(&state.uid, |message| message.uid).ok();
            if let Some((position, message)) = position.and_then(|at| Some((at, messages.get_mut(at)?))) {
                *message = *state;
                positions.push(u32::try_from(position).unwrap_or(u32::MAX));
            }
        }
        positions
    }

    /// Brings the snapshot up to date.
    pub fn apply(&mut self, changes: Changes) -> Applied {
        let mut applied = Applied::default();
        if !changes.vanished.is_empty() {
            self.remove(&changes.vanished, &mut applied);
        }
        if let Some(keywords) = changes.keywords.filter(|keywords| **keywords != *self.keywords) {
            self.keywords = keywords;
            applied.keywords = true;
        }
        let last = self.messages.last().map_or(0, |message| message.uid);
        let new = changes.changed.partition_point(|state| state.uid <= last);
        let (known, new) = changes.changed.split_at(new);
        let different: Vec<MessageState> = known.iter().filter(|state| self.differs(state)).copied().collect();
        applied.changed = self.update(&different);
        if !new.is_empty() {
            Arc::make_mut(&mut self.messages).extend_from_slice(new);
            applied.grown = true;
        }
        self.highest_modseq = self.highest_modseq.max(changes.highest_modseq);
        self.uidnext = self.uidnext.max(changes.uidnext);
        applied
    }

    fn differs(&self, state: &MessageState) -> bool {
        self.position(state.uid).and_then(|at| self.messages.get(at)).is_some_and(|known| known != state)
    }

    fn remove(&mut self, vanished: &UidRanges, applied: &mut Applied) {
        // A count first: a shared snapshot is only copied when something goes.
        for &range in vanished.ranges() {
            let positions = self.uid_positions(range);
            for position in positions {
                if let Some(message) = self.messages.get(position) {
                    applied.expunged.push(u32::try_from(position + 1).unwrap_or(u32::MAX));
                    applied.vanished.append(message.uid, message.uid);
                }
            }
        }
        if !applied.expunged.is_empty() {
            Arc::make_mut(&mut self.messages).retain(|message| !applied.vanished.contains(message.uid));
            self.saved = self.saved.without(applied.vanished.iter());
        }
    }
}

impl Selection {
    fn from_ranges(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut sorted: Vec<Range<usize>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_unstable_by_key(|range| range.start);
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    /// Whether it names no message.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes up to `count` positions from the front.
    pub fn take_front(&mut self, count: usize) -> Vec<usize> {
        let mut positions = Vec::new();
        let mut used = 0;
        for range in &mut self.ranges {
            let room = count - positions.len();
            let end = range.end.min(range.start.saturating_add(room));
            positions.extend(range.start..end);
            range.start = end;
            if range.start < range.end {
                break;
            }
            used += 1;
        }
        self.ranges.drain(..used);
        positions
    }

    /// All positions, rising.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges.iter().cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parser::cursor::Cursor;
    use crate::imap::parser::sequence::sequence_set;
    use crate::imap::store::Flags;

    fn snapshot(uids: &[Uid]) -> Snapshot {
        let state = |uid: &Uid| MessageState { uid: *uid, modseq: 1, flags: Flags(0) };
        Snapshot::new(
            &Selected {
                folder: 1,
                uidvalidity: 1,
                uidnext: uids.last().map_or(1, |uid| uid + 1),
                highest_modseq: 1,
                messages: Arc::new(uids.iter().map(state).collect()),
                keywords: Arc::default(),
                read_only: false,
                vanished: None,
            },
            false,
        )
    }

    fn positions(snapshot: &Snapshot, set: &str, addressing: Addressing) -> Result<Vec<usize>, InvalidSet> {
        let set = sequence_set(&mut Cursor::new(set.as_bytes())).unwrap();
        snapshot.select(&set, addressing).map(|selection| selection.positions().collect())
    }

    #[test]
    fn sets_name_positions() {
        let snapshot = snapshot(&[2, 4, 8, 9]);
        assert_eq!(positions(&snapshot, "4,1:2,2:3", Addressing::Sequence), Ok(vec![0, 1, 2, 3]));
        assert_eq!(positions(&snapshot, "*", Addressing::Sequence), Ok(vec![3]));
        assert_eq!(positions(&snapshot, "5", Addressing::Sequence), Err(InvalidSet));
        assert_eq!(positions(&snapshot, "1:3,7,9:100", Addressing::Uid), Ok(vec![0, 3]));
        // RFC 9051 section 9: "n:*" names the last message even when n is greater than its UID.
        assert_eq!(positions(&snapshot, "500:*", Addressing::Uid), Ok(vec![3]));
        let existing = |snapshot: &Snapshot, set: &str| {
            let set = sequence_set(&mut Cursor::new(set.as_bytes())).unwrap();
            snapshot.select_existing(&set, Addressing::Sequence).positions().collect::<Vec<usize>>()
        };
        assert_eq!(existing(&snapshot, "3:9,1"), [0, 2, 3]);
        assert_eq!(existing(&super::tests::snapshot(&[]), "1:*"), []);
        let empty = super::tests::snapshot(&[]);
        assert_eq!(positions(&empty, "1:*", Addressing::Uid), Ok(vec![]));
        assert_eq!(positions(&empty, "*", Addressing::Sequence), Err(InvalidSet));
    }

    #[test]
    fn ranges_span_gaps_but_not_what_is_unselected() {
        let snapshot = snapshot(&[2, 4, 8, 9]);
        let set = sequence_set(&mut Cursor::new(b"1:2,4")).unwrap();
        let selection = snapshot.select(&set, Addressing::Sequence).unwrap();
        assert_eq!(snapshot.uids(&selection).ranges(), [(2, 4), (9, 9)]);
        let mut selection = selection;
        assert_eq!(selection.take_front(1), [0]);
        assert_eq!(selection.take_front(5), [1, 3]);
        assert!(selection.is_empty());
    }

    #[test]
    fn changes_are_applied_once() {
        let mut snapshot = snapshot(&[2, 4, 8]);
        let state = |uid, modseq| MessageState { uid, modseq, flags: Flags(modseq) };
        let changes = Changes {
            changed: vec![state(4, 5), state(9, 6)],
            vanished: UidRanges::range(1, 3),
            highest_modseq: 7,
            uidnext: 10,
            keywords: None,
        };
        let applied = snapshot.apply(changes.clone());
        let expected = Applied {
            expunged: vec![1],
            vanished: UidRanges::range(2, 2),
            grown: true,
            changed: vec![0],
            keywords: false,
        };
        assert_eq!(applied, expected);
        assert_eq!(snapshot.apply(changes), Applied::default());
        assert_eq!((snapshot.highest_modseq, snapshot.uidnext, snapshot.exists()), (7, 10, 3));
    }
}
