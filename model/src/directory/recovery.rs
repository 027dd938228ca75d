//! What is decided for a whole cluster at once: that one node goes on without all others, and which format all speak.

use super::members::{NODE_COUNTER, REPLICA_COUNTER, raise};
use super::row::{GroupRow, NodeRow, NodeState, ReplicaPlace, key};
use super::{ACCOUNT_COUNTER, put, refused, view};
use crate::ids::{GroupId, NodeId, UnixMillis};
use crate::limits::SHARDS;
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use serde::{Deserialize, Serialize};

/// The counter that holds the active format.
pub const FORMAT_COUNTER: &str = "format";

/// A cluster that lost its quorum for good goes on with one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The node that goes on.
    pub node: NodeId,
    /// Its new replica of each group; no other replica counts any more.
    pub replicas: Vec<(GroupId, u64)>,
    /// Those of the groups of which it had no copy: they begin empty.
    pub lost: Vec<GroupId>,
    /// Account ids that are passed over, because the others may have given them away without this node's knowledge.
    pub accounts_skipped: u64,
}

/// Every other node is removed, every group is where the recovery says, and what was lost is remembered.
pub fn recover(txn: &mut dyn Txn, now: UnixMillis, recovery: &Recovery) -> Result<Reply, ReadError> {
    let nodes = view::nodes(txn)?;
    if !nodes.contains_key(&recovery.node) {
        return refused(Refusal::NotFound);
    }
    for (node, row) in nodes {
        let state = if node == recovery.node { NodeState::Active } else { NodeState::Removed };
        txn.put(&key::node(node), &NodeRow { state, ..row }.encode());
    }
    for (group, replica) in &recovery.replicas {
        raise(txn, REPLICA_COUNTER, *replica)?;
        if group.0 <= SHARDS {
            let revision = view::group(txn, *group)?.unwrap_or_default().revision + 1;
            let replicas = vec![ReplicaPlace { replica: *replica, node: recovery.node }];
            put(txn, &key::group(*group), &GroupRow { revision, replicas });
        }
    }
    raise(txn, NODE_COUNTER, recovery.node.0)?;
    let accounts = view::counter(txn, ACCOUNT_COUNTER)?.saturating_add(recovery.accounts_skipped);
    raise(txn, ACCOUNT_COUNTER, accounts)?;
    view::tokens(txn)?.into_iter().for_each(|(token, _)| txn.delete(&key::token(token)));
    let mut row = view::recovery(txn)?.unwrap_or_default();
    row.at = now;
    row.node = recovery.node;
    if recovery.accounts_skipped > 0 {
        row.accounts_upto = accounts;
    }
    row.lost.retain(|(group, _)| !recovery.lost.contains(group));
    row.lost.extend(recovery.lost.iter().map(|group| (*group, now)));
    row.lost.sort_unstable();
    Ok(put(txn, &key::recovery(), &row))
}

/// From now on what `format` brought may be proposed. Never taken back: a node that does not speak it cannot read the log.
pub fn activate(txn: &mut dyn Txn, format: u32) -> Result<Reply, ReadError> {
    if format <= view::active_format(txn)? {
        return Ok(Reply::Done);
    }
    if view::common_format(txn)? < format {
        return refused(Refusal::Outdated);
    }
    raise(txn, FORMAT_COUNTER, u64::from(format))?;
    Ok(Reply::Done)
}
