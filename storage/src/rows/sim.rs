//! Rows in memory that forget, over a crash, some of the newest batches that were not synced.

use super::{Batch, Change, Column, Rows, RowsRead, Sync, Visit};
use crate::sim::Power;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

type Table = BTreeMap<(Column, Vec<u8>), Vec<u8>>;

/// Simulated rows; clones share them.
#[derive(Clone)]
pub struct SimRows {
    power: Power,
    state: Arc<Mutex<SimState>>,
}

#[derive(Default)]
struct SimState {
    durable: Table,
    now: Arc<Table>,
    unsynced: Vec<Batch>,
}

impl SimRows {
    /// No rows.
    pub fn new(power: Power) -> Self {
        SimRows { power, state: Arc::default() }
    }

    /// The power is back: what was synced is there, with a prefix of what was not.
    pub fn recover(&self) {
        let mut state = self.state.lock();
        let kept = self.power.random(state.unsynced.len() as u64 + 1) as usize;
        let mut batches = std::mem::take(&mut state.unsynced);
        batches.truncate(kept);
        for batch in &batches {
            apply(&mut state.durable, batch);
        }
        state.now = Arc::new(state.durable.clone());
    }
}

fn apply(table: &mut Table, batch: &Batch) {
    for change in &batch.changes {
        match change {
            Change::Put(column, key, value) => drop(table.insert((*column, key.clone()), value.clone())),
            Change::Delete(column, key) => drop(table.remove(&(*column, key.clone()))),
            Change::DeleteRange(column, range) => {
                table.retain(|(of, key), _| of != column || *key < range.start || *key >= range.end);
            }
        }
    }
}

impl RowsRead for SimRows {
    fn get(&self, column: Column, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let table = self.state.lock().now.clone();
        View(table).get(column, key)
    }

    fn scan(&self, column: Column, range: Range<&[u8]>, visit: &mut Visit<'_>) -> io::Result<()> {
        let table = self.state.lock().now.clone();
        View(table).scan(column, range, visit)
    }

    fn last(&self, column: Column, range: Range<&[u8]>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let table = self.state.lock().now.clone();
        View(table).last(column, range)
    }
}

impl Rows for SimRows {
    fn write(&self, batch: Batch, sync: Sync) -> io::Result<()> {
        self.power.step()?;
        let mut state = self.state.lock();
        apply(Arc::make_mut(&mut state.now), &batch);
        state.unsynced.push(batch);
        if sync == Sync::Yes {
            // The write and its sync are two moments: the power may go out between them.
            self.power.step()?;
            for batch in std::mem::take(&mut state.unsynced) {
                apply(&mut state.durable, &batch);
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Box<dyn RowsRead> {
        Box::new(View(self.state.lock().now.clone()))
    }

    fn size(&self, column: Column, range: Range<&[u8]>) -> u64 {
        let table = self.state.lock().now.clone();
        let mut bytes = 0;
        let counted = View(table).scan(column, range, &mut |key, value| {
            bytes += (key.len() + value.len()) as u64;
            std::ops::ControlFlow::Continue(())
        });
        counted.map_or(0, |()| bytes)
    }
}

struct View(Arc<Table>);

impl View {
    fn range<'a>(
        &'a self,
        column: Column,
        range: Range<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> {
        let end = if range.start < range.end { range.end } else { range.start };
        let keys = (column, range.start.to_vec())..(column, end.to_vec());
        self.0.range(keys).map(|((_, key), value)| (key, value))
    }
}

impl RowsRead for View {
    fn get(&self, column: Column, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(&(column, key.to_vec())).cloned())
    }

    fn scan(&self, column: Column, range: Range<&[u8]>, visit: &mut Visit<'_>) -> io::Result<()> {
        for (key, value) in self.range(column, range) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, column: Column, range: Range<&[u8]>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        Ok(self.range(column, range).next_back().map(|(key, value)| (key.clone(), value.clone())))
    }
}
