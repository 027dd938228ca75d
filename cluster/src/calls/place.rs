//! Whom to ask about a group: its leader as the replica here sees it, else whom another node named, else the nodes the
//! directory lists.

use crate::calls::Calls;
use crate::limits::{BEHIND_REMEMBERED, CALL_RETRY_WAIT_MAX, CALL_RETRY_WAIT_MIN};
use crate::raft::{Leadership, Replica};
use crate::runtime::{Instant, sleep, timeout_at};
use model::{GroupId, NodeId};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Whether there is such a group in any cluster; there is no leader to hint at when not.
pub fn exists(group: GroupId) -> Result<(), Option<NodeId>> {
    if group.0 <= model::limits::SHARDS { Ok(()) } else { Err(None) }
}

/// Who leads, or may.
pub enum Target {
    /// The replica here.
    Here(Replica),
    /// Another node.
    There(NodeId),
    /// Nobody is known.
    Nobody,
}

/// Leaders of groups without a replica here, as they were last heard of. One entry per group at most.
#[derive(Default)]
pub struct Places {
    leaders: Mutex<HashMap<GroupId, NodeId>>,
    /// Groups whose replica here was seen to be behind, and until when that is taken for granted.
    behind: Mutex<HashMap<GroupId, Instant>>,
}

impl Places {
    fn heard(&self, group: GroupId) -> Option<NodeId> {
        self.leaders.lock().get(&group).copied()
    }

    /// Remembers a leader that answered as such.
    pub fn remember(&self, group: GroupId, node: NodeId) {
        self.leaders.lock().insert(group, node);
    }

    /// Whether the replica here was behind a moment ago.
    pub fn is_behind(&self, group: GroupId) -> bool {
        self.behind.lock().get(&group).is_some_and(|until| Instant::now() < *until)
    }

    /// The replica here did not keep up.
    pub fn fell_behind(&self, group: GroupId) {
        self.behind.lock().insert(group, Instant::now() + BEHIND_REMEMBERED);
    }

    /// Forgets it: it answers no more, or leads no more.
    pub fn forget(&self, group: GroupId) {
        self.leaders.lock().remove(&group);
    }
}

/// The tries of one call: how many there were, and what the last one taught.
pub struct Tries {
    count: u32,
    hint: Option<NodeId>,
    asked: Option<NodeId>,
    deadline: Instant,
}

impl Tries {
    /// None yet.
    pub fn new(deadline: Instant) -> Self {
        Tries { count: 0, hint: None, asked: None, deadline }
    }

    /// Goes on with another deadline.
    pub fn again(self, deadline: Instant) -> Self {
        Tries { deadline, ..self }
    }

    /// A node said who leads.
    pub fn learn(&mut self, hint: Option<NodeId>) {
        self.hint = hint;
    }
}

impl Calls {
    /// The replica of a group here, when it runs.
    pub(super) fn replica(&self, group: GroupId) -> Option<Replica> {
        self.groups.group(group)?.replica()
    }

    /// Whom to ask next: not the same node twice in a row when others may know more.
    pub(super) async fn target(&self, group: GroupId, tries: &mut Tries) -> Target {
        // A hint is newer than what is known here, but only for one try.
        let hint = tries.hint.take().filter(|node| *node != self.node);
        let mut target = match hint {
            Some(node) => Target::There(node),
            None => self.known(group, tries).await,
        };
        if let Target::There(node) = target
            && tries.asked == Some(node)
            && let Target::There(other) = self.listed(group, tries.count, Some(node)).await
        {
            target = Target::There(other);
        }
        tries.asked = if let Target::There(node) = target { Some(node) } else { None };
        target
    }

    async fn known(&self, group: GroupId, tries: &Tries) -> Target {
        match self.replica(group) {
            Some(replica) => match replica.leadership() {
                Leadership { here: true, .. } => Target::Here(replica),
                Leadership { leader: Some((_, node)), .. } if node != self.node => Target::There(node),
                // It may be out of its group, or not in it yet: then others know more.
                _ if tries.count % 2 == 1 => self.listed(group, tries.count / 2, None).await,
                _ => Target::Nobody,
            },
            None => match self.places.heard(group) {
                Some(node) => Target::There(node),
                None => self.listed(group, tries.count, None).await,
            },
        }
    }

    /// One of the nodes the directory lists for a group, another with every try.
    async fn listed(&self, group: GroupId, count: u32, except: Option<NodeId>) -> Target {
        let mut nodes = self.nodes_of(group).await;
        nodes.retain(|node| *node != self.node && Some(*node) != except);
        let turn = nodes.len().checked_sub(1).map(|last| count as usize % (last + 1));
        turn.and_then(|turn| nodes.get(turn).copied()).map_or(Target::Nobody, Target::There)
    }

    /// The nodes that hold a group, as the directory says here.
    pub(super) async fn nodes_of(&self, group: GroupId) -> Vec<NodeId> {
        let Some(directory) = self.groups.group(GroupId::DIRECTORY) else { return Vec::new() };
        let looked_up = crate::runtime::blocking(move || {
            let rows = directory.parts().state.read().ok()?;
            model::directory::view::group(&rows, group).ok()?
        });
        let row = looked_up.await.ok().flatten();
        row.map(|row| row.replicas.iter().map(|place| place.node).collect()).unwrap_or_default()
    }

    /// The other nodes that hold a group, as is known here.
    pub async fn others_of(&self, group: GroupId) -> BTreeSet<NodeId> {
        let mut nodes: BTreeSet<NodeId> = match self.replica(group) {
            Some(replica) => replica.members().nodes.into_values().collect(),
            None => self.nodes_of(group).await.into_iter().collect(),
        };
        nodes.remove(&self.node);
        nodes
    }

    /// Waits before another try: until leadership changes as seen from here, or for a moment. `false` when the deadline
    /// has passed.
    pub(super) async fn pause(&self, group: GroupId, tries: &mut Tries) -> bool {
        let wait = wait_before(tries.count);
        tries.count = tries.count.saturating_add(1);
        let changed = async {
            let Some(replica) = self.replica(group) else { return sleep(wait).await };
            let leads = async {
                // A replica that has stopped tells nothing more: without the wait this would be tried again at once.
                if replica.leadership_after(replica.leadership()).await.is_none() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = leads => {}
                () = sleep(wait) => {}
            }
        };
        timeout_at(tries.deadline, changed).await.is_ok()
    }
}

fn wait_before(count: u32) -> Duration {
    // A hint costs a node a look, so the first try after one may be at once.
    match count {
        0 => Duration::from_millis(1),
        _ => CALL_RETRY_WAIT_MIN.saturating_mul(1 << count.min(16)).min(CALL_RETRY_WAIT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound() {
        assert!(wait_before(0) < CALL_RETRY_WAIT_MIN);
        assert_eq!(wait_before(1), CALL_RETRY_WAIT_MIN * 2);
        assert_eq!(wait_before(u32::MAX), CALL_RETRY_WAIT_MAX);
    }
}
