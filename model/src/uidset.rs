//! Sets of UIDs as sorted, disjoint ranges: what STORE, COPY, MOVE and EXPUNGE name, however large the mailbox.

use crate::ids::Uid;
use serde::{Deserialize, Serialize};

/// A set of UIDs; ranges ascend, do not touch, and have first <= last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UidSet(Vec<(Uid, Uid)>);

impl UidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ranges, ascending, both ends included.
    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many UIDs are in it.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Whether `uid` is in it.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < uid);
        self.0.get(at).is_some_and(|(first, _)| *first <= uid)
    }

    /// Every UID, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        Self::from_ranges(uids.into_iter().map(|uid| (uid, uid)))
    }
}

impl UidSet {
    /// Builds a set from ranges in any order, overlapping or reversed.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (Uid, Uid)>) -> Self {
        let mut all: Vec<_> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
        if !all.is_sorted() {
            all.sort_unstable();
        }
        let mut merged: Vec<(Uid, Uid)> = Vec::with_capacity(all.len().min(16));
        for (first, last) in all {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => merged.push((first, last)),
            }
        }
        UidSet(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_answer_membership() {
        let set = UidSet::from_ranges([(9, 7), (1, 2), (3, 3), (20, 20)]);
        assert_eq!(set.ranges(), &[(1, 3), (7, 9), (20, 20)]);
        assert_eq!(set.len(), 7);
        assert!(set.contains(8) && !set.contains(10) && !set.contains(0));
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3, 7, 8, 9, 20]);
        assert_eq!([5, 4, 4, 6].into_iter().collect::<UidSet>().ranges(), &[(4, 6)]);
    }
}
