//! Making a replica the only one of its group while its node is stopped: for when the others are lost for good. What the
//! log holds stays; a membership of one follows it, under a term that nobody this replica knows has used.

use crate::error::StartError;
use crate::raft::log::Log;
use crate::raft::parts::Parts;
use crate::raft::snapshot::meta_of;
use crate::raft::types::{LogEntry, LogId, Member, Proposal, StoredMembership, TypeConfig, Vote};
use model::{NodeId, UnixMillis};
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, Membership};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

type LeaderId = openraft::alias::LeaderIdOf<TypeConfig>;

/// A replica of a stopped node.
pub struct Rescue {
    parts: Parts,
    log: Log,
    last: Option<LogId>,
    membership: Membership<u64, Member>,
    newest: Option<UnixMillis>,
}

impl Rescue {
    /// Reads who is in the group and how far this replica is, by its own log.
    ///
    /// # Errors
    /// When the log or the rows cannot be read.
    pub async fn open(parts: Parts) -> Result<Rescue, StartError> {
        let opened = Self::read(&parts).await;
        opened.map_err(|error| parts.failed(error)).map(|(log, last, membership, newest)| Rescue {
            parts,
            log,
            last,
            membership,
            newest,
        })
    }

    async fn read(parts: &Parts) -> io::Result<(Log, Option<LogId>, Membership<u64, Member>, Option<UnixMillis>)> {
        let mut log = Log::open(parts.log.clone(), parts.bell.clone()).await?;
        let position = parts.state.applied().map(|(_, position)| position);
        let meta = meta_of(position.as_deref(), parts.state.membership().as_deref())?;
        let last = log.last().max(meta.last_log_id);
        let mut membership: StoredMembership = meta.last_membership;
        let mut newest = None;
        for entry in log.try_get_log_entries(..).await? {
            match entry.payload {
                EntryPayload::Membership(of) => membership = StoredMembership::new(Some(entry.log_id), of),
                EntryPayload::Normal(proposal) => newest = newest.max(Some(proposal.entry().proposed_at)),
                EntryPayload::Blank => {}
            }
        }
        Ok((log, last, membership.membership().clone(), newest))
    }

    /// Whether the replica has anything; one that never received its group has nothing to rescue.
    pub fn has_data(&self) -> bool {
        self.last.is_some()
    }

    /// The other nodes that hold the group.
    pub fn others(&self) -> BTreeSet<NodeId> {
        let here = self.parts.member.node;
        self.membership.nodes().map(|(_, member)| member.node).filter(|node| *node != here).collect()
    }

    /// When the newest entry in the log was proposed.
    pub fn newest(&self) -> Option<UnixMillis> {
        self.newest
    }

    /// Appends the membership of one, and `entry` behind it. Durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn make_alone(mut self, entry: Option<model::Entry>) -> Result<(), StartError> {
        let written = self.write(entry).await;
        written.map_err(|error| self.parts.failed(error))
    }

    async fn write(&mut self, entry: Option<model::Entry>) -> io::Result<()> {
        let Some(last) = self.last else { return Ok(()) };
        let replica = self.parts.replica;
        let voted = self.log.read_vote().await?.map_or(0, |vote| vote.leader_id().term());
        let leader = LeaderId::new(voted.max(last.leader_id.term()) + 1, replica);
        let nodes = BTreeMap::from([(replica, self.parts.member.clone())]);
        let alone = Membership::new(vec![BTreeSet::from([replica])], nodes).map_err(io::Error::other)?;
        let id = |offset| LogId::new(leader, last.index + offset);
        let mut entries = vec![LogEntry::new_membership(id(1), alone)];
        entries.extend(entry.map(|entry| LogEntry::new_normal(id(2), Proposal::new(entry))));
        // C2: the vote of a term is on disk before anything of that term.
        self.log.save_vote(&Vote::new(leader.term(), replica)).await?;
        self.log.blocking_append(entries).await.map_err(io::Error::other)
    }
}
