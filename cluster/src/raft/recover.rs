//! Making one replica of a group, whose other replicas are gone for good, the whole of a group of its own. Works on the
//! log of a stopped node; whoever calls decides which replica, and that the others are gone.
//!
//! The replica goes on under a new id, so that nothing the old members still say is meant for it. Its log is kept to the
//! last entry and a membership of the new id alone is put behind it, in a term above every one seen here: what was not
//! known to be committed is so from then on.

use crate::limits::READ_BYTES_MAX;
use crate::raft::codec;
use crate::raft::types::{LogEntry, LogId, Member, Proposal, StoredMembership, TypeConfig, Vote};
use model::{Entry, NodeId, UnixMillis};
use openraft::entry::RaftEntry;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::channel;
use storage::{Done, GroupLog, GroupState, LogRecord};

type LeaderId = openraft::alias::LeaderIdOf<TypeConfig>;
type Config = Membership<u64, Member>;

/// Entries looked at from the end of a log for one that has a time.
const NEWEST_SOUGHT_MAX: u64 = 64;

/// What a stopped node has of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Index of the last entry: in the log, or covered by the snapshot it begins with.
    pub last: u64,
    /// The term of that entry.
    pub last_term: u64,
    /// Entries that are applied, and so known to be committed.
    pub applied: Option<u64>,
    /// The highest term that was heard of.
    pub term: u64,
    /// The members when it was last told, by replica.
    pub members: BTreeMap<u64, NodeId>,
    /// Those that voted.
    pub voters: BTreeSet<u64>,
    /// No majority could have been without this replica, so nothing can be committed that is not in its log.
    pub has_everything: bool,
    /// When the newest entry that has a time was proposed.
    pub newest: Option<UnixMillis>,
}

/// How a replica takes a group over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// Its new id (C10).
    pub replica: u64,
    /// Above every term seen here.
    pub term: u64,
    /// Where the membership of it alone stands: behind the last entry.
    pub index: u64,
}

/// Looks at what `replica` left in its log and rows; `None` when that is nothing. Blocks.
pub fn find(log: &GroupLog, state: &GroupState, replica: u64) -> io::Result<Option<Found>> {
    let bounds = log.bounds()?;
    let purged: Option<LogId> = bounds.purged.as_deref().map(codec::decode).transpose()?;
    let logged = bounds.last.map(|(_, record)| codec::decode_log_id(&record)).transpose()?;
    let applied: Option<LogId> = state.applied().map(|(_, position)| codec::decode(&position)).transpose()?;
    let Some(last) = logged.max(purged).max(applied) else { return Ok(None) };
    let vote: Option<Vote> =
        log.read_vote()?.filter(|bytes| !bytes.is_empty()).as_deref().map(codec::decode).transpose()?;
    let configs = configs(log, state, applied.map(|applied| applied.index))?;
    let known = configs.last();
    Ok(Some(Found {
        last: last.index,
        last_term: last.leader_id.term,
        applied: applied.map(|applied| applied.index),
        term: last.leader_id.term.max(vote.map_or(0, |vote| vote.leader_id.term)),
        members: known
            .map_or_else(BTreeMap::new, |known| known.nodes().map(|(id, member)| (*id, member.node)).collect()),
        voters: known.map_or_else(BTreeSet::new, |known| known.voter_ids().collect()),
        has_everything: !configs.is_empty() && configs.iter().all(|config| is_in_every_majority(config, replica)),
        newest: newest(log, last.index)?,
    }))
}

/// The applied membership and every one behind it in the log. Each of these may be the one in force.
fn configs(log: &GroupLog, state: &GroupState, applied: Option<u64>) -> io::Result<Vec<Config>> {
    let mut configs = Vec::new();
    if let Some(bytes) = state.membership() {
        let stored: StoredMembership = codec::decode(&bytes)?;
        configs.push(stored.membership().clone());
    }
    let mut next = applied.map_or(0, |applied| applied + 1);
    loop {
        let some = log.read(next..u64::MAX, READ_BYTES_MAX)?;
        let Some((last, _)) = some.last() else { return Ok(configs) };
        next = last + 1;
        for (_, record) in &some {
            configs.extend(codec::decode_membership(record)?);
        }
    }
}

/// In one or two voters each majority has all of them; of two sets in force at the same time both must agree.
fn is_in_every_majority(config: &Config, replica: u64) -> bool {
    config.get_joint_config().iter().any(|voters| voters.contains(&replica) && voters.len() <= 2)
}

fn newest(log: &GroupLog, last: u64) -> io::Result<Option<UnixMillis>> {
    for index in (last.saturating_sub(NEWEST_SOUGHT_MAX)..=last).rev() {
        for (_, record) in log.read(index..index + 1, READ_BYTES_MAX)? {
            if let Some(entry) = codec::decode_record(&record)? {
                return Ok(Some(entry.proposed_at));
            }
        }
    }
    Ok(None)
}

/// Makes the log that of a group which `takeover.replica` on `node` makes up alone; `entry` is its first proposal.
/// Doing it again changes nothing. Durable when this returns. Blocks.
pub fn take_over(log: &GroupLog, takeover: &Takeover, node: NodeId, entry: Option<Entry>) -> io::Result<()> {
    let Takeover { replica, term, index } = *takeover;
    let leader = LeaderId::new(term, replica);
    let position = |index| LogId::new(leader.to_committed(), index);
    if let Some((_, record)) = log.read(index..index + 1, READ_BYTES_MAX)?.first() {
        if codec::decode_log_id(record)? == position(index) {
            return Ok(());
        }
        return Err(io::Error::other("the log has grown since the recovery was decided"));
    }
    wait(|done| log.save_vote(codec::encode(&Vote::new(term, replica)), done))?;
    let member = Member { node, address: String::new() };
    let alone = Membership::new(vec![BTreeSet::from([replica])], BTreeMap::from([(replica, member)]));
    let alone = EntryPayload::Membership(alone.map_err(io::Error::other)?);
    let mut entries = vec![LogEntry { log_id: position(index), payload: alone }];
    entries.extend(entry.map(|entry| LogEntry::new_normal(position(index + 1), Proposal::new(entry))));
    let record = |entry: &LogEntry| LogRecord {
        index: entry.log_id.index,
        bytes: codec::encode_entry(entry),
        bodies: codec::staged_bodies(entry),
    };
    wait(|done| log.append(entries.iter().map(record).collect(), done))
}

fn wait<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> io::Result<T> {
    let (sender, receiver) = channel();
    ask(Box::new(move |result| drop(sender.send(result))));
    receiver.recv().map_err(io::Error::other)?
}
