//! A transaction of the rules over rows that are not written yet, so that many entries share one batch.

use super::view::{get_under, scan_under};
use crate::rows::{Batch, Column, RowsRead};
use model::txn::Visit;
use model::{Read, ReadError, Txn};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, Range};

/// Rows of a group with changes on top. The changes are lost unless they are taken.
pub struct Overlay<'a> {
    rows: &'a dyn RowsRead,
    prefix: Vec<u8>,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Overlay<'a> {
    /// No changes yet on the rows whose keys start with `prefix`.
    pub fn new(rows: &'a dyn RowsRead, prefix: Vec<u8>) -> Self {
        Overlay { rows, prefix, changes: BTreeMap::new() }
    }

    /// Adds the changes to a batch.
    pub fn write_to(self, batch: &mut Batch) {
        for (key, value) in self.changes {
            let key = [self.prefix.as_slice(), &key].concat();
            match value {
                Some(value) => batch.put(Column::Index, key, value),
                None => batch.delete(Column::Index, key),
            }
        }
    }

    /// As [`Self::write_to`], keeping the changes.
    #[cfg(test)]
    pub fn clone_to(&self, batch: &mut Batch) {
        Overlay { rows: self.rows, prefix: self.prefix.clone(), changes: self.changes.clone() }.write_to(batch);
    }
}

impl Read for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => get_under(self.rows, &self.prefix, key),
        }
    }

    fn scan(&self, range: Range<&[u8]>, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        if range.start >= range.end {
            return Ok(());
        }
        let bounds = (Bound::Included(range.start), Bound::Excluded(range.end));
        let mut changed = self.changes.range::<[u8], _>(bounds).peekable();
        let mut ended = false;
        scan_under(self.rows, &self.prefix, range, &mut |key, value| {
            while let Some((changed_key, changed_value)) = changed.next_if(|(changed, _)| changed.as_slice() < key) {
                if let Some(changed_value) = changed_value
                    && visit(changed_key, changed_value).is_break()
                {
                    ended = true;
                    return ControlFlow::Break(());
                }
            }
            let flow = match changed.next_if(|(changed, _)| changed.as_slice() == key) {
                Some((_, Some(changed_value))) => visit(key, changed_value),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            ended = flow.is_break();
            flow
        })?;
        for (key, value) in changed {
            if ended {
                break;
            }
            if let Some(value) = value {
                ended = visit(key, value).is_break();
            }
        }
        Ok(())
    }
}

impl Txn for Overlay<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.changes.insert(key.to_vec(), Some(value.to_vec()));
    }

    fn delete(&mut self, key: &[u8]) {
        self.changes.insert(key.to_vec(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Rows, SimRows, Sync};
    use crate::sim::Power;
    use model::memory::MemoryTxn;
    use proptest::prelude::*;

    fn seen(read: &dyn Read, start: u8, end: u8, most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut seen = Vec::new();
        read.scan(&[start]..&[end], &mut |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
        seen
    }

    proptest! {
        #[test]
        fn reads_as_if_the_changes_were_written(
            below in proptest::collection::vec((0u8..20, any::<u8>()), 0..20),
            above in proptest::collection::vec((0u8..20, proptest::option::of(any::<u8>())), 0..20),
            (start, end, most) in (0u8..20, 0u8..20, 1usize..9),
        ) {
            let rows = SimRows::new(Power::new(u64::MAX, 1));
            let mut plain = MemoryTxn::new();
            let mut batch = Batch::default();
            for (key, value) in below {
                batch.put(Column::Index, vec![9, key], vec![value]);
                plain.put(&[key], &[value]);
            }
            rows.write(batch, Sync::No).unwrap();
            let mut overlay = Overlay::new(&rows, vec![9]);
            for (key, value) in above {
                match value {
                    Some(value) => { overlay.put(&[key], &[value]); plain.put(&[key], &[value]); }
                    None => { overlay.delete(&[key]); plain.delete(&[key]); }
                }
            }
            prop_assert_eq!(seen(&overlay, start, end, most), seen(&plain, start, end, most));
            prop_assert_eq!(overlay.get(&[start]).unwrap(), plain.get(&[start]).unwrap());
            let mut batch = Batch::default();
            overlay.write_to(&mut batch);
            rows.write(batch, Sync::No).unwrap();
            let written = Overlay::new(&rows, vec![9]);
            prop_assert_eq!(seen(&written, 0, 20, 99), seen(&plain, 0, 20, 99));
        }
    }
}
