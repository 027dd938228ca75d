//! Tokens, nodes and placement. Changes are entries of the directory, which says what shall be; the leaders of the
//! groups make it so afterwards, and `status` shows how far they are.

use super::picture::Picture;
use super::protocol::{AdminError, AdminReply};
use super::roster::{MoveItem, NodeItem, ShardItem, TokenItem};
use super::service::{AdminService, about, accepted, unreadable};
use crate::limits::{STALE_PLANS_MAX, TOKEN_VALID_SECONDS_MAX};
use cluster::{Step, TokenError};
use model::directory::members::MemberCommand;
use model::directory::row::{NodeRow, NodeState};
use model::directory::{DirectoryCommand, view};
use model::{GroupId, NodeId, Refusal, Reply};
use std::time::Duration;

/// Nodes and groups as they stand, from everybody who answers.
pub(super) async fn look(admin: &AdminService) -> Result<(Vec<NodeItem>, Vec<ShardItem>), AdminError> {
    let services = &admin.services;
    let rows = services.directory.with_rows(|rows| Ok((view::nodes(rows)?, view::groups(rows)?)));
    let (nodes, groups) = rows.map_err(unreadable)?;
    let reports = services.cluster.overview().await;
    let picture = Picture { here: services.cluster.node(), nodes: &nodes, groups: &groups, reports: &reports };
    Ok((picture.nodes(), picture.shards()))
}

/// A token as a joining node takes it: what names the cluster, what names the token, and its secret.
pub(super) async fn create_token(admin: &AdminService, valid_seconds: u64) -> Result<AdminReply, AdminError> {
    let services = &admin.services;
    let valid_seconds = valid_seconds.min(TOKEN_VALID_SECONDS_MAX);
    let token =
        services.cluster.create_token(Duration::from_secs(valid_seconds)).await.map_err(|error| match error {
            TokenError::TooMany => AdminError::Refused(error.to_string()),
            _ => AdminError::Unavailable(error.to_string()),
        })?;
    let own = services.directory.with_rows(|rows| view::node(rows, services.cluster.node())).map_err(unreadable)?;
    let address = own.map(|row| row.facts.address).unwrap_or_default();
    Ok(AdminReply::Token(TokenItem { token, address, valid_seconds }))
}

pub(super) async fn nodes(admin: &AdminService) -> Result<AdminReply, AdminError> {
    Ok(AdminReply::Nodes(look(admin).await?.0))
}

pub(super) async fn shards(admin: &AdminService) -> Result<AdminReply, AdminError> {
    Ok(AdminReply::Shards(look(admin).await?.1))
}

/// Draining the last node that serves would be stopping it.
pub(super) async fn drain(admin: &AdminService, name: &str) -> Result<AdminReply, AdminError> {
    let nodes = admin.services.directory.with_rows(view::nodes).map_err(unreadable)?;
    let others = |row: &NodeRow| row.state == NodeState::Active && row.facts.name != name;
    if !nodes.values().any(others) {
        return Err(AdminError::Refused(format!("{name}: no other node is active and could serve meanwhile")));
    }
    set_state(admin, name, NodeState::Draining).await
}

pub(super) async fn set_state(admin: &AdminService, name: &str, state: NodeState) -> Result<AdminReply, AdminError> {
    let (node, _) = find(admin, name)?;
    let command = MemberCommand::SetState { node, state };
    let refused = |error| match (error, state) {
        (AdminError::Refused(_), NodeState::Leaving) => {
            AdminError::Refused(format!("{name}: no other node could take what it holds"))
        }
        (error, _) => about(name)(error),
    };
    admin.change_directory(DirectoryCommand::Members(command)).await.map_err(refused)?;
    Ok(AdminReply::Done)
}

/// What `old` holds goes to `new` where that is possible, elsewhere to where the planner puts it.
pub(super) async fn replace(admin: &AdminService, old: &str, new: &str) -> Result<AdminReply, AdminError> {
    let ((from, _), (to, successor)) = (find(admin, old)?, find(admin, new)?);
    if from == to {
        return Err(AdminError::Refused(format!("{old}: a node cannot replace itself")));
    }
    if successor.state != NodeState::Active {
        return Err(AdminError::Refused(format!("{new}: must be active to take replicas")));
    }
    let groups = admin.services.directory.with_rows(view::groups).map_err(unreadable)?;
    for (group, row) in groups {
        if row.replica_on(from).is_some() && row.replica_on(to).is_none() {
            place(admin, group, from, to).await?;
        }
    }
    set_state(admin, old, NodeState::Leaving).await
}

pub(super) async fn move_shard(
    admin: &AdminService,
    shard: u32,
    from: &str,
    to: &str,
) -> Result<AdminReply, AdminError> {
    let ((from, _), (to, _)) = (find(admin, from)?, find(admin, to)?);
    place(admin, GroupId(shard), from, to).await?;
    Ok(AdminReply::Done)
}

/// What the cluster moves next so that nodes hold alike, begun now or only told. It does so by itself after a while.
pub(super) async fn rebalance(admin: &AdminService, dry_run: bool) -> Result<AdminReply, AdminError> {
    let steps = admin.services.cluster.rebalance(dry_run).await;
    let nodes = admin.services.directory.with_rows(view::nodes).map_err(unreadable)?;
    let name = |node: NodeId| nodes.get(&node).map(|row| row.facts.name.clone());
    let item = |step: Step| match step {
        Step::Place { group, add, remove, .. } => {
            Some(MoveItem { shard: group.0, from: remove.and_then(name), to: add.and_then(name) })
        }
        Step::Retire(_) => None,
    };
    Ok(AdminReply::Moves(steps.into_iter().filter_map(item).collect()))
}

/// Plans are made on rows that may be old; one that is refused for that is made again.
async fn place(admin: &AdminService, group: GroupId, from: NodeId, to: NodeId) -> Result<(), AdminError> {
    let name = group.to_string();
    let refuse = |reason: &str| Err(AdminError::Refused(format!("{name}: {reason}")));
    for _ in 0..STALE_PLANS_MAX {
        let row = admin.services.directory.with_rows(|rows| view::group(rows, group)).map_err(unreadable)?;
        let Some(row) = row else { return refuse("no such shard") };
        if row.replica_on(from).is_none() {
            return refuse("the node it should leave has no replica");
        }
        if row.replica_on(to).is_some() {
            return refuse("the node it should go to has a replica");
        }
        let command = MemberCommand::Place { group, revision: row.revision, add: Some(to), remove: Some(from) };
        match admin.try_to_change_directory(DirectoryCommand::Members(command)).await? {
            Reply::Refused(Refusal::Stale) => {}
            reply => return accepted(reply).map(drop).map_err(about(&name)),
        }
    }
    Err(AdminError::Unavailable(format!("{name}: others change it all the time; try again")))
}

/// A member of the cluster by its name.
fn find(admin: &AdminService, name: &str) -> Result<(NodeId, NodeRow), AdminError> {
    let nodes = admin.services.directory.with_rows(view::nodes).map_err(unreadable)?;
    let found = nodes.into_iter().find(|(_, row)| row.is_member() && row.facts.name == name);
    found.ok_or_else(|| AdminError::Refused(format!("{name}: no such node, see: mailnode node list")))
}
