//! Taking a group off this node: its files, rows and log, so that nothing of it is left and it may come again as new.
//!
//! A crash in the middle leaves a group that is partly or wholly empty; whoever asked for this asks again after a start.

use super::Store;
use crate::key;
use crate::log::GroupLog;
use crate::rows::{Batch, Column, Sync};
use crate::snapshot::Position;
use crate::state::GroupState;
use crate::{Done, key::Local};
use bytes::Bytes;
use model::GroupId;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::channel;

/// Rounds of the keeper after which bodies that another group is about to name are left to that group.
const SWEEPS_MAX: usize = 8;

impl Store {
    /// Removes everything of a group. Whoever uses its log and state must have stopped. Blocks, for as long as removing
    /// its files takes.
    pub fn erase(&self, group: GroupId) -> io::Result<()> {
        let (log, state) = self.group(group)?;
        // Behind everything that was asked of the log before.
        self.wait(|done| log.save_vote(Bytes::new(), done))?;
        let index = last_index(&log, &state);
        let nothing = Position { index, position: Bytes::new(), membership: None };
        let install = state.install()?;
        self.wait(|done| install.finish(nothing, done))?;
        self.sweep_bodies(group)?;
        drop((log, state));
        // Held over the write: whoever opens the group meanwhile would read rows that are about to go.
        let mut groups = self.inner.groups.lock();
        groups.remove(&group);
        let mut batch = Batch::default();
        for column in [Column::RaftLog, Column::RaftMeta, Column::Index, Column::Cache, Column::Local] {
            batch.delete_range(column, key::under(group.0.to_be_bytes().to_vec()));
        }
        self.inner.core.rows.write(batch, Sync::Yes)
    }

    fn wait<T: Send + 'static>(&self, ask: impl FnOnce(Done<T>)) -> io::Result<T> {
        let (sender, receiver) = channel();
        self.inner.writer.at_once(|| ask(Box::new(move |result| drop(sender.send(result)))));
        receiver.recv().map_err(io::Error::other)?
    }

    /// Lets the keeper remove the bodies that lost their last name with the group's files.
    fn sweep_bodies(&self, group: GroupId) -> io::Result<()> {
        for _ in 0..SWEEPS_MAX {
            let trash = key::under(key::local(group, Local::Trash));
            let mut left = false;
            self.inner.core.rows.scan(Column::Local, &trash.start..&trash.end, &mut |_, _| {
                left = true;
                ControlFlow::Break(())
            })?;
            if !left {
                break;
            }
            self.wait(|done| self.inner.core.keeper.barrier(&self.inner.core, done))?;
        }
        Ok(())
    }
}

/// An index that nothing of the group is behind.
fn last_index(log: &GroupLog, state: &GroupState) -> u64 {
    let applied = state.applied().map(|(index, _)| index);
    log.last_index().max(log.purged_index()).max(applied).unwrap_or(0)
}
