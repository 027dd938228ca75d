//! The nodes of the cluster: who is invited, who belongs, and where the replicas of each group shall be.
//!
//! Declarative: these rows say what shall be, the leader of each group makes it so. Refusals are answers, not errors,
//! so that two nodes that plan at the same time, or one that plans on old rows, can do no harm.

use super::recovery::{self, Recovery};
use super::row::{GroupRow, NodeFacts, NodeRow, NodeState, ReplicaPlace, TokenId, TokenRow, key};
use super::{next, put, refused, view};
use crate::ids::{GroupId, NodeId, UnixMillis};
use crate::limits::{
    NODE_NAME_BYTES_MAX, NODE_TEXT_BYTES_MAX, NODES_MAX, SHARD_REPLICAS_MAX, SHARDS, TOKEN_MEMORY_MS, TOKENS_MAX,
};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use serde::{Deserialize, Serialize};

pub(super) const NODE_COUNTER: &str = "node";
pub(super) const REPLICA_COUNTER: &str = "replica";

/// A decision about nodes and placement. Variants are added at the end only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MemberCommand {
    /// Writes down the replicas a cluster of one was made with. Rows that exist are left alone, counters only rise.
    Form {
        /// The node that made them.
        node: NodeId,
        /// One replica of each group.
        replicas: Vec<(GroupId, u64)>,
    },
    /// Invites one node.
    Invite {
        /// The token's id.
        token: TokenId,
        /// SHA-256 of its secret.
        key: [u8; 32],
        /// Until when it may come.
        expires_at: UnixMillis,
    },
    /// Admits a node that proved to know a token's secret. Admitting the same key again gives the same id.
    Admit {
        /// The token.
        token: TokenId,
        /// The node.
        facts: NodeFacts,
    },
    /// A node says how it stands since its start.
    Announce {
        /// Which.
        node: NodeId,
        /// How it stands.
        facts: NodeFacts,
    },
    /// Says what the cluster does with a node.
    SetState {
        /// Which.
        node: NodeId,
        /// What.
        state: NodeState,
    },
    /// Gives a group one more replica, takes one away, or both at once.
    Place {
        /// Which.
        group: GroupId,
        /// The row this was decided on.
        revision: u64,
        /// Who shall hold one.
        add: Option<NodeId>,
        /// Who shall hold none any more.
        remove: Option<NodeId>,
    },
    /// One node goes on without all others.
    Recover(Recovery),
    /// What a format brought may be proposed from now on.
    Activate {
        /// A format that every node speaks.
        format: u32,
    },
}

/// Carries out one command.
pub fn apply(txn: &mut dyn Txn, now: UnixMillis, command: &MemberCommand) -> Result<Reply, ReadError> {
    use MemberCommand::*;
    match command {
        Form { node, replicas } => form(txn, *node, replicas),
        Invite { token, key, expires_at } => invite(txn, now, *token, *key, *expires_at),
        Admit { token, facts } => admit(txn, now, *token, facts),
        Announce { node, facts } => announce(txn, *node, facts),
        SetState { node, state } => set_state(txn, *node, *state),
        Place { group, revision, add, remove } => place(txn, *group, *revision, *add, *remove),
        Recover(recovery) => recovery::recover(txn, now, recovery),
        Activate { format } => recovery::activate(txn, *format),
    }
}

fn form(txn: &mut dyn Txn, node: NodeId, replicas: &[(GroupId, u64)]) -> Result<Reply, ReadError> {
    for (group, replica) in replicas {
        raise(txn, REPLICA_COUNTER, *replica)?;
        if group.0 <= SHARDS && view::group(txn, *group)?.is_none() {
            let row = GroupRow { revision: 1, replicas: vec![ReplicaPlace { replica: *replica, node }] };
            put(txn, &key::group(*group), &row);
        }
    }
    raise(txn, NODE_COUNTER, node.0)?;
    Ok(Reply::Done)
}

pub(super) fn raise(txn: &mut dyn Txn, counter: &str, to: u64) -> Result<(), ReadError> {
    if view::counter(txn, counter)? < to {
        txn.put(&key::counter(counter), &to.to_be_bytes());
    }
    Ok(())
}

fn invite(
    txn: &mut dyn Txn,
    now: UnixMillis,
    token: TokenId,
    secret_hash: [u8; 32],
    expires_at: UnixMillis,
) -> Result<Reply, ReadError> {
    let (old, kept): (Vec<_>, Vec<_>) =
        view::tokens(txn)?.into_iter().partition(|(_, row)| row.expires_at.saturating_add(TOKEN_MEMORY_MS) < now);
    old.iter().for_each(|(token, _)| txn.delete(&key::token(*token)));
    if kept.len() >= TOKENS_MAX {
        return refused(Refusal::Limit);
    }
    if kept.iter().any(|(id, _)| *id == token) {
        return refused(Refusal::Exists);
    }
    Ok(put(txn, &key::token(token), &TokenRow { key: secret_hash, expires_at, used_by: None }))
}

fn admit(txn: &mut dyn Txn, now: UnixMillis, token: TokenId, facts: &NodeFacts) -> Result<Reply, ReadError> {
    let Some(invitation) = view::token(txn, token)? else { return refused(Refusal::NotFound) };
    let nodes = view::nodes(txn)?;
    let same_key = nodes.iter().find(|(_, row)| row.facts.key == facts.key).map(|(node, row)| (*node, row.clone()));
    if let Some(node) = invitation.used_by {
        // Whoever came with it and was cut off before it could write that down comes again.
        return match same_key.filter(|(known, row)| *known == node && row.is_member()) {
            Some((_, row)) => readmit(txn, node, &row, facts),
            None => refused(Refusal::Used),
        };
    }
    if invitation.expires_at <= now {
        return refused(Refusal::Expired);
    }
    let node = match same_key {
        Some((_, row)) if !row.is_member() => return refused(Refusal::Cannot),
        Some((node, row)) => match readmit(txn, node, &row, facts)? {
            Reply::Node(node) => node,
            refusal => return Ok(refusal),
        },
        None => match newcomer(txn, facts)? {
            Ok(node) => node,
            Err(refusal) => return refused(refusal),
        },
    };
    put(txn, &key::token(token), &TokenRow { used_by: Some(node), ..invitation });
    Ok(Reply::Node(node))
}

/// A node that comes again may have another address by now, and is reached under no other.
fn readmit(txn: &mut dyn Txn, node: NodeId, row: &NodeRow, facts: &NodeFacts) -> Result<Reply, ReadError> {
    if let Err(refusal) = check_facts(txn, Some(node), facts)? {
        return refused(refusal);
    }
    txn.put(&key::node(node), &NodeRow { facts: facts.clone(), state: row.state }.encode());
    Ok(Reply::Node(node))
}

fn newcomer(txn: &mut dyn Txn, facts: &NodeFacts) -> Result<Result<NodeId, Refusal>, ReadError> {
    if let Err(refusal) = check_facts(txn, None, facts)? {
        return Ok(Err(refusal));
    }
    if facts.key == [0; 32] {
        return Ok(Err(Refusal::Invalid));
    }
    if facts.format < view::active_format(txn)? {
        return Ok(Err(Refusal::Outdated));
    }
    let members = view::nodes(txn)?.into_values().filter(NodeRow::is_member).count();
    if members >= NODES_MAX {
        return Ok(Err(Refusal::Limit));
    }
    let node = NodeId(next(txn, NODE_COUNTER)?);
    let row = NodeRow { facts: facts.clone(), state: NodeState::Active };
    txn.put(&key::node(node), &row.encode());
    Ok(Ok(node))
}

fn announce(txn: &mut dyn Txn, node: NodeId, facts: &NodeFacts) -> Result<Reply, ReadError> {
    if let Err(refusal) = check_facts(txn, Some(node), facts)? {
        return refused(refusal);
    }
    if facts.format < view::active_format(txn)? {
        return refused(Refusal::Outdated);
    }
    let state = match view::node(txn, node)? {
        Some(row) if !row.is_member() => return refused(Refusal::Cannot),
        Some(row) if row.facts.key != [0; 32] && row.facts.key != facts.key => return refused(Refusal::Cannot),
        Some(row) => row.state,
        // Only the node that makes a cluster is in no row yet: all others were admitted.
        None if view::nodes(txn)?.is_empty() => NodeState::Active,
        None => return refused(Refusal::NotFound),
    };
    txn.put(&key::node(node), &NodeRow { facts: facts.clone(), state }.encode());
    Ok(Reply::Done)
}

/// `node` is who says this, when it is known already.
fn check_facts(txn: &dyn Txn, node: Option<NodeId>, facts: &NodeFacts) -> Result<Result<(), Refusal>, ReadError> {
    let named = !facts.name.is_empty() && facts.name.len() <= NODE_NAME_BYTES_MAX;
    let plain = facts.name.chars().all(|letter| !letter.is_whitespace() && !letter.is_control());
    let short = [&facts.hostname, &facts.version, &facts.address].iter().all(|text| text.len() <= NODE_TEXT_BYTES_MAX);
    if !(named && plain && short) {
        return Ok(Err(Refusal::Invalid));
    }
    let mut others = view::nodes(txn)?.into_iter().filter(|(other, row)| Some(*other) != node && row.is_member());
    let taken = others.any(|(_, row)| row.facts.name == facts.name);
    Ok(if taken { Err(Refusal::Exists) } else { Ok(()) })
}

fn set_state(txn: &mut dyn Txn, node: NodeId, state: NodeState) -> Result<Reply, ReadError> {
    let Some(mut row) = view::node(txn, node)? else { return refused(Refusal::NotFound) };
    if row.state == state {
        return Ok(Reply::Done);
    }
    if row.state == NodeState::Removed {
        return refused(Refusal::Cannot);
    }
    if state == NodeState::Removed && view::groups(txn)?.values().any(|group| group.replica_on(node).is_some()) {
        return refused(Refusal::Cannot);
    }
    let stays = |row: &NodeRow| matches!(row.state, NodeState::Active | NodeState::Draining);
    let mut others = view::nodes(txn)?.into_iter().filter(|(other, row)| *other != node && stays(row));
    if matches!(state, NodeState::Leaving | NodeState::Removed) && others.next().is_none() {
        return refused(Refusal::Cannot);
    }
    row.state = state;
    txn.put(&key::node(node), &row.encode());
    Ok(Reply::Done)
}

fn place(
    txn: &mut dyn Txn,
    group: GroupId,
    revision: u64,
    add: Option<NodeId>,
    remove: Option<NodeId>,
) -> Result<Reply, ReadError> {
    let Some(mut row) = view::group(txn, group)? else { return refused(Refusal::NotFound) };
    if row.revision != revision {
        return refused(Refusal::Stale);
    }
    if let Some(node) = add {
        let stays = |row: NodeRow| matches!(row.state, NodeState::Active | NodeState::Draining);
        if !view::node(txn, node)?.is_some_and(stays) {
            return refused(Refusal::NotFound);
        }
        if row.replica_on(node).is_some() {
            return refused(Refusal::Exists);
        }
    }
    if let Some(node) = remove {
        if row.replica_on(node).is_none() {
            return refused(Refusal::NotFound);
        }
        row.replicas.retain(|place| place.node != node);
    }
    if row.replicas.len() + usize::from(add.is_some()) > replicas_max(group) {
        return refused(Refusal::Limit);
    }
    if let Some(node) = add {
        row.replicas.push(ReplicaPlace { replica: next(txn, REPLICA_COUNTER)?, node });
    }
    if row.replicas.is_empty() || (add.is_none() && remove.is_none()) {
        return refused(Refusal::Cannot);
    }
    row.revision += 1;
    Ok(put(txn, &key::group(group), &row))
}

fn replicas_max(group: GroupId) -> usize {
    if group.is_directory() { NODES_MAX } else { SHARD_REPLICAS_MAX }
}
