//! The newest records of a group in memory: all that are not written yet, and some behind for replication and apply.

use crate::limits;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;

/// Consecutive records that end with the last one of the log.
#[derive(Default)]
pub struct Tail {
    first: u64,
    records: VecDeque<Bytes>,
    bytes: usize,
    /// Records below this are in the rows as well.
    unwritten_from: u64,
}

impl Tail {
    /// Empties it; the next record will be at `index`.
    pub fn restart(&mut self, index: u64) {
        *self = Tail { first: index, unwritten_from: index, ..Tail::default() };
    }

    /// The first index it holds, or the next one it will.
    pub fn first(&self) -> u64 {
        self.first
    }

    fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Adds a record behind the last; starts anew when it does not follow.
    pub fn push(&mut self, index: u64, bytes: Bytes) {
        if index != self.end() {
            self.restart(index);
        }
        self.bytes += bytes.len();
        self.records.push_back(bytes);
    }

    /// Records up to `index` are in the rows: those over the bound are forgotten, oldest first.
    pub fn written(&mut self, index: u64) {
        self.unwritten_from = self.unwritten_from.max(index + 1);
        while self.bytes > limits::TAIL_BYTES_MAX && self.first < self.unwritten_from {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(bytes) = self.records.pop_front() {
            self.bytes -= bytes.len();
            self.first += 1;
        }
    }

    /// Forgets records behind `index`.
    pub fn truncate_after(&mut self, index: Option<u64>) {
        let end = index.map_or(0, |index| index + 1);
        if end <= self.first {
            return self.restart(end);
        }
        while self.end() > end {
            if let Some(bytes) = self.records.pop_back() {
                self.bytes -= bytes.len();
            }
        }
        self.unwritten_from = self.unwritten_from.min(end);
    }

    /// Forgets records up to `index`.
    pub fn purge(&mut self, index: u64) {
        while self.first <= index && !self.records.is_empty() {
            self.drop_first();
        }
        if self.records.is_empty() {
            let next = self.first.max(index + 1);
            self.restart(next);
        }
    }

    /// Bytes of the records behind `index`; `None` when some of them are not held.
    pub fn bytes_after(&self, index: u64) -> Option<u64> {
        let skip = usize::try_from((index + 1).checked_sub(self.first)?).ok()?;
        Some(self.records.iter().skip(skip).map(|bytes| bytes.len() as u64).sum())
    }

    /// Adds the records of `range` to `found` until `bytes_max`; the first one always fits.
    pub fn read(&self, range: Range<u64>, bytes_max: usize, bytes: &mut usize, found: &mut Vec<(u64, Bytes)>) {
        for index in range {
            let at = index.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            let Some(record) = at.and_then(|at| self.records.get(at)) else { return };
            if !found.is_empty() && *bytes + record.len() > bytes_max {
                return;
            }
            *bytes += record.len();
            found.push((index, record.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwritten_records_are_never_forgotten() {
        let mut tail = Tail::default();
        tail.restart(1);
        for index in 1..=4 {
            tail.push(index, Bytes::from(vec![0; limits::TAIL_BYTES_MAX]));
        }
        assert_eq!(tail.first(), 1);
        tail.written(2);
        assert_eq!(tail.first(), 3);
        assert_eq!(tail.bytes_after(3), Some(limits::TAIL_BYTES_MAX as u64));
        assert_eq!(tail.bytes_after(1), None);
        tail.truncate_after(Some(3));
        tail.written(9);
        assert_eq!(tail.first(), 3);
        tail.purge(3);
        assert_eq!(tail.first(), 4);
    }

    #[test]
    fn a_read_holds_at_least_one_record() {
        let mut tail = Tail::default();
        tail.restart(5);
        tail.push(5, Bytes::from_static(b"12345"));
        tail.push(6, Bytes::from_static(b"12345"));
        let (mut bytes, mut found) = (0, Vec::new());
        tail.read(5..7, 1, &mut bytes, &mut found);
        assert_eq!(found.len(), 1);
    }
}
