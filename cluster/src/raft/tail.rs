//! The newest entries of one log, decoded: what was just appended is applied and replicated without reading it back.
//! Bounded by bytes; the oldest go first. Holds no entry the log does not hold.

use crate::raft::types::LogEntry;
use openraft::EntryPayload;
use std::collections::VecDeque;
use std::ops::Range;

/// Memory an entry takes beside its content.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// Consecutive entries, ending with the log's last.
#[derive(Default)]
pub struct Tail {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    /// An empty tail that keeps at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Tail { bytes_max, ..Tail::default() }
    }

    /// Adds an entry behind the last; one that does not follow replaces everything.
    pub fn push(&mut self, entry: LogEntry) {
        if self.entries.back().is_some_and(|last| last.log_id.index + 1 != entry.log_id.index) {
            self.clear();
        }
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max {
            self.pop_front();
        }
    }

    /// Forgets the entries above `index`, or all of them.
    pub fn truncate_after(&mut self, index: Option<u64>) {
        while self.entries.back().is_some_and(|last| index.is_none_or(|index| last.log_id.index > index)) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= cost(&entry);
            }
        }
    }

    /// Forgets the entries up to and including `index`.
    pub fn purge(&mut self, index: u64) {
        while self.entries.front().is_some_and(|first| first.log_id.index <= index) {
            self.pop_front();
        }
    }

    /// The entries of `range` from its start on, up to `bytes_max` bytes but at least one; empty when the first is not here.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Vec<LogEntry> {
        let Some(skip) = self.first_index().and_then(|first| range.start.checked_sub(first)) else {
            return Vec::new();
        };
        let count = range.end.saturating_sub(range.start);
        let mut bytes = 0;
        let here = self.entries.iter().skip(to_usize(skip)).take(to_usize(count));
        here.take_while(|entry| {
            let first = bytes == 0;
            bytes += cost(entry);
            first || bytes <= bytes_max
        })
        .cloned()
        .collect()
    }

    /// The index of the oldest entry here.
    pub fn first_index(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.log_id.index)
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= cost(&entry);
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Memory an entry holds: its encoding, and the inline body once more in its decoded form.
fn cost(entry: &LogEntry) -> usize {
    let content = match &entry.payload {
        EntryPayload::Normal(proposal) => 2 * proposal.encoded().len(),
        _ => 0,
    };
    ENTRY_OVERHEAD_BYTES + content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::LogId;
    use openraft::vote::RaftLeaderId;

    fn blank(index: u64) -> LogEntry {
        let leader = openraft::alias::LeaderIdOf::<crate::raft::types::TypeConfig>::new(1, 1);
        openraft::Entry { log_id: LogId::new(leader, index), payload: EntryPayload::Blank }
    }

    fn indexes(entries: &[LogEntry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    fn tail(count: u64, entries_max: usize) -> Tail {
        let mut tail = Tail::new(entries_max * ENTRY_OVERHEAD_BYTES);
        (1..=count).for_each(|index| tail.push(blank(index)));
        tail
    }

    #[test]
    fn the_oldest_entries_go_when_the_bound_is_reached() {
        let tail = tail(10, 4);
        assert_eq!(tail.first_index(), Some(7));
        assert_eq!(indexes(&tail.read(7..11, usize::MAX)), [7, 8, 9, 10]);
        assert!(tail.read(6..11, usize::MAX).is_empty(), "a read that starts before the tail is not answered from it");
    }

    #[test]
    fn a_read_is_bounded_but_never_empty() {
        let tail = tail(4, 10);
        assert_eq!(indexes(&tail.read(2..5, 1)), [2]);
        assert_eq!(indexes(&tail.read(2..5, 2 * ENTRY_OVERHEAD_BYTES)), [2, 3]);
        assert_eq!(indexes(&tail.read(2..3, usize::MAX)), [2]);
    }

    #[test]
    fn truncation_and_purging_take_from_their_ends() {
        let mut tail = tail(6, 10);
        tail.truncate_after(Some(4));
        tail.purge(2);
        assert_eq!(indexes(&tail.read(3..9, usize::MAX)), [3, 4]);
        tail.truncate_after(None);
        assert_eq!((tail.first_index(), tail.bytes), (None, 0));
    }

    #[test]
    fn an_entry_that_does_not_follow_starts_afresh() {
        let mut tail = tail(3, 10);
        tail.push(blank(9));
        assert_eq!(tail.first_index(), Some(9));
    }
}
