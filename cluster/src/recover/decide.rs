//! Deciding a recovery: looks at every group on this node and says what becomes of it. Writes nothing.

use super::marker::Marker;
use super::report::{Copy, GroupReport, LostNode, Report};
use super::{RecoverError, failed};
use crate::error::StartError;
use crate::identity::{Held, Identity, Stage};
use crate::limits::{ACCOUNTS_SKIPPED, REPLICAS_SKIPPED};
use crate::raft::recover::{Found, Takeover, find};
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand;
use model::directory::recovery::Recovery;
use model::directory::row::{GroupRow, NodeRow};
use model::directory::view;
use model::{Command, Entry, GroupId, NodeId, OperationId, UnixMillis};
use std::collections::BTreeMap;
use storage::Store;

/// What the directory here says, as far as it is applied.
struct Known {
    nodes: BTreeMap<NodeId, NodeRow>,
    groups: BTreeMap<GroupId, GroupRow>,
    drawn: u64,
}

/// What is to be done, as of now. Blocks.
pub fn decide(store: &Store, identity: &Identity, now: UnixMillis) -> Result<Marker, RecoverError> {
    let mut found = BTreeMap::new();
    for (group, held) in &identity.replicas {
        if let Some(what) = look(store, *group, *held)? {
            found.insert(*group, (held.replica, what));
        }
    }
    if !found.contains_key(&GroupId::DIRECTORY) {
        return Err(RecoverError::NoDirectory);
    }
    let known = known(store)?;
    let name = known.nodes.get(&identity.node).map(|row| row.facts.name.clone()).ok_or(RecoverError::NoDirectory)?;
    let replicas: BTreeMap<GroupId, u64> = groups().zip(first_replica(identity, &known, &found)..).collect();
    let report = report(identity.node, name, &known, &found);
    let lost: Vec<GroupId> = report.lost().map(|group| group.group).collect();
    let accounts_skipped = if report.nothing_is_lost() { 0 } else { ACCOUNTS_SKIPPED };
    let recovery =
        Recovery { node: identity.node, replicas: replicas.clone().into_iter().collect(), lost, accounts_skipped };
    let takeover = |(group, (_, what)): (&GroupId, &(u64, Found))| {
        let replica = *replicas.get(group)?;
        Some((*group, Takeover { replica, term: what.term + 1, index: what.last + 1 }))
    };
    Ok(Marker {
        after: after(identity.node, &replicas, &found),
        erased: report.lost().map(|group| group.group).collect(),
        takeovers: found.iter().filter_map(takeover).collect(),
        entry: entry(now, recovery),
        report,
    })
}

fn groups() -> impl Iterator<Item = GroupId> {
    std::iter::once(GroupId::DIRECTORY).chain(GroupId::shards())
}

fn look(store: &Store, group: GroupId, held: Held) -> Result<Option<Found>, StartError> {
    if held.stage == Stage::Erasing || !store.groups().contains(&group) {
        return Ok(None);
    }
    let (log, state) = store.group(group).map_err(|error| failed(group, error))?;
    find(&log, &state, held.replica).map_err(|error| failed(group, error))
}

fn known(store: &Store) -> Result<Known, StartError> {
    let rows = store.state(GroupId::DIRECTORY).and_then(|state| state.read());
    let rows = rows.map_err(|error| failed(GroupId::DIRECTORY, error))?;
    let read = || {
        Ok(Known { nodes: view::nodes(&rows)?, groups: view::groups(&rows)?, drawn: view::counter(&rows, "replica")? })
    };
    read().map_err(|error: model::ReadError| StartError::Group { group: GroupId::DIRECTORY, reason: error.to_string() })
}

/// Above every id heard of, and above those that the others may have drawn meanwhile.
fn first_replica(identity: &Identity, known: &Known, found: &BTreeMap<GroupId, (u64, Found)>) -> u64 {
    let here = identity.highest.values().copied();
    let listed = known.groups.values().flat_map(|row| row.replicas.iter().map(|place| place.replica));
    let members = found.values().flat_map(|(_, what)| what.members.keys().copied());
    let highest = here.chain(listed).chain(members).max().unwrap_or(0).max(known.drawn);
    (highest / REPLICAS_SKIPPED + 1) * REPLICAS_SKIPPED
}

fn after(node: NodeId, replicas: &BTreeMap<GroupId, u64>, found: &BTreeMap<GroupId, (u64, Found)>) -> Identity {
    let held = |(group, replica): (&GroupId, &u64)| {
        let stage = if found.contains_key(group) { Stage::Formed } else { Stage::Founding };
        (*group, Held { replica: *replica, stage })
    };
    Identity { node, replicas: replicas.iter().map(held).collect(), highest: replicas.clone() }
}

fn entry(now: UnixMillis, recovery: Recovery) -> Entry {
    // Nobody proposes with these random bytes: the id is a recovery's own.
    let operation = OperationId::new(now, *b"recovery\0\0");
    let command = Command::Directory(DirectoryCommand::Members(MemberCommand::Recover(recovery)));
    Entry { operation, proposed_at: now, command }
}

fn report(node: NodeId, name: String, known: &Known, found: &BTreeMap<GroupId, (u64, Found)>) -> Report {
    let others = known.nodes.iter().filter(|(other, row)| **other != node && row.is_member());
    let dropped = others.map(|(node, row)| LostNode { node: *node, name: row.facts.name.clone() });
    let here = |group: GroupId| {
        let (replica, what) = found.get(&group)?;
        let is_listed = known.groups.get(&group).is_some_and(|row| row.replica_on(node) == Some(*replica));
        Some(copy(*replica, is_listed, what))
    };
    let groups = groups().map(|group| GroupReport { group, here: here(group), accounts: Vec::new() });
    Report { node, name, is_begun: false, dropped: dropped.collect(), groups: groups.collect() }
}

fn copy(replica: u64, is_listed: bool, found: &Found) -> Copy {
    let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
    Copy {
        replica,
        is_voter: found.voters.contains(&replica),
        is_listed,
        has_everything: found.has_everything,
        last: found.last,
        last_term: found.last_term,
        applied: found.applied,
        not_known_committed: (found.last + 1).saturating_sub(next(found.applied)),
        newest: found.newest,
        members: found.members.iter().map(|(replica, node)| (*replica, *node)).collect(),
    }
}
