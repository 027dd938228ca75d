//! Sets of UIDs as sorted, disjoint, inclusive ranges: what requests to the store carry, what `VANISHED`, `COPYUID`
//! and `SEARCH RETURN (ALL)` print. Must not know mailboxes or sequence numbers.

use serde::{Deserialize, Serialize};

/// Unique identifier of a message in a folder; never 0 (RFC 9051 section 2.3.1.1).
pub type Uid = u32;

/// A set of UIDs. The ranges are inclusive, sorted, disjoint and never touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UidRanges {
    ranges: Vec<(Uid, Uid)>,
}

impl UidRanges {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of one inclusive range; the ends may come in either order.
    pub fn range(first: Uid, last: Uid) -> Self {
        Self { ranges: vec![(first.min(last), first.max(last))] }
    }

    /// Makes a set out of ranges in any order, overlapping or not, each with its ends in either order.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (Uid, Uid)>) -> Self {
        let mut sorted: Vec<(Uid, Uid)> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
        sorted.sort_unstable();
        let mut set = Self::new();
        for (first, last) in sorted {
            set.append(first, last);
        }
        set
    }

    /// Makes a set out of single UIDs in any order.
    pub fn from_uids(uids: impl IntoIterator<Item = Uid>) -> Self {
        Self::from_ranges(uids.into_iter().map(|uid| (uid, uid)))
    }

    /// Adds a range that starts at or after the start of the last one (the cheap way to build from sorted input).
    pub fn append(&mut self, first: Uid, last: Uid) {
        match self.ranges.last_mut() {
            Some(tail) if first <= tail.1.saturating_add(1) => tail.1 = tail.1.max(last),
            _ => self.ranges.push((first, last)),
        }
    }

    /// Whether `uid` is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let after = self.ranges.partition_point(|range| range.0 <= uid);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|range| uid <= range.1)
    }

    /// The ranges, inclusive, sorted, disjoint.
    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.ranges
    }

    /// Every UID in rising order. Ranges may be huge (`1:4294967295`): do not collect without a bound.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|range| range.0..=range.1)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs the set holds.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.1 - range.0) + 1).sum()
    }

    /// The UIDs in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right, mut both) = (0, 0, Self::new());
        while let (Some(a), Some(b)) = (self.ranges.get(left), other.ranges.get(right)) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                both.append(first, last);
            }
            if a.1 < b.1 { left += 1 } else { right += 1 }
        }
        both
    }

    /// The UIDs of this set that are not among `sorted` (rising, unique).
    pub fn without(&self, sorted: impl IntoIterator<Item = Uid>) -> Self {
        let mut rest = Self::new();
        let mut holes = sorted.into_iter().peekable();
        for &(first, last) in &self.ranges {
            let mut next = Some(first);
            while let Some(&hole) = holes.peek() {
                if hole > last {
                    break;
                }
                if let Some(start) = next.filter(|start| *start < hole) {
                    rest.append(start, hole - 1);
                }
                if hole >= first {
                    next = hole.checked_add(1);
                }
                holes.next();
            }
            if let Some(start) = next.filter(|start| *start <= last) {
                rest.append(start, last);
            }
        }
        rest
    }
}

impl FromIterator<Uid> for UidRanges {
    fn from_iter<T: IntoIterator<Item = Uid>>(uids: T) -> Self {
        Self::from_uids(uids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn members(set: &UidRanges) -> BTreeSet<Uid> {
        set.iter().collect()
    }

    proptest! {
        #[test]
        fn ranges_are_sets(
            left in prop::collection::vec((1u32..60, 1u32..60), 0..6),
            right in prop::collection::vec((1u32..60, 1u32..60), 0..6),
            holes in prop::collection::btree_set(1u32..60, 0..30),
        ) {
            let (a, b) = (UidRanges::from_ranges(left), UidRanges::from_ranges(right));
            prop_assert!(a.ranges().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert_eq!(a.count(), members(&a).len() as u64);
            prop_assert_eq!(members(&a.intersection(&b)), members(&a).intersection(&members(&b)).copied().collect());
            prop_assert_eq!(members(&a.without(holes.iter().copied())), members(&a).difference(&holes).copied().collect());
            prop_assert_eq!((1..60).filter(|uid| a.contains(*uid)).collect::<BTreeSet<_>>(), members(&a));
        }
    }

    #[test]
    fn touching_ranges_become_one() {
        assert_eq!(UidRanges::from_ranges([(5, 4), (1, 3), (9, 9)]).ranges(), [(1, 5), (9, 9)]);
    }

    #[test]
    fn contains_looks_at_ends() {
        let set = UidRanges::from_ranges([(2, 4), (8, 8)]);
        let held: Vec<Uid> = (0..10).filter(|uid| set.contains(*uid)).collect();
        assert_eq!(held, [2, 3, 4, 8]);
        assert_eq!(set.count(), 4);
    }

    #[test]
    fn intersection_and_difference() {
        let set = UidRanges::from_ranges([(1, 10), (20, 30)]);
        assert_eq!(
            set.intersection(&UidRanges::from_ranges([(5, 22), (30, 40)])).ranges(),
            [(5, 10), (20, 22), (30, 30)]
        );
        assert_eq!(set.without([1, 5, 15, 30]).ranges(), [(2, 4), (6, 10), (20, 29)]);
        assert_eq!(
            UidRanges::range(u32::MAX - 1, u32::MAX).without([u32::MAX]).ranges(),
            [(u32::MAX - 1, u32::MAX - 1)]
        );
    }
}
