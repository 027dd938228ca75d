//! The first start after `mailnode cluster recover`: the directory forgets the nodes that are lost. Every step may be
//! repeated, so a start that was cut short is finished by the next.

use super::first_start::change;
use crate::context::Services;
use crate::limits::FORGOTTEN_REPLICAS_MAX;
use cluster::RECOVERED_SETTING;
use model::directory::members::MemberCommand;
use model::directory::row::NodeState;
use model::directory::{DirectoryCommand, view};
use model::{NodeId, Reply};

/// Takes the others out of every group and of the list of nodes, when this node was made a cluster of one.
///
/// # Errors
/// When the directory cannot be changed.
pub async fn forget_the_others(services: &Services) -> Result<(), String> {
    let here = services.cluster.node();
    let noted = services.directory.setting(RECOVERED_SETTING).map_err(|error| error.to_string())?;
    if noted != Some(here.0.to_string()) {
        return Ok(());
    }
    for _ in 0..FORGOTTEN_REPLICAS_MAX {
        let Some(command) = next(services, here)? else { break };
        // Refused when the plan is old: the next look makes another.
        change(services, DirectoryCommand::Members(command)).await?;
    }
    let nodes = services.directory.with_rows(view::nodes).map_err(|error| error.to_string())?;
    for (node, row) in nodes.into_iter().filter(|(node, row)| *node != here && row.is_member()) {
        let leave = |state| change(services, DirectoryCommand::Members(MemberCommand::SetState { node, state }));
        if let Reply::Refused(_) = leave(NodeState::Removed).await? {
            // It holds a shard that is nowhere else: its mail may still come back with it.
            leave(NodeState::Leaving).await?;
        }
        tracing::warn!(node = row.facts.name, "taken out of the cluster");
    }
    change(services, DirectoryCommand::SetSetting { name: RECOVERED_SETTING.to_owned(), value: None }).await?;
    Ok(())
}

/// The next replica to forget, of a group that is here too.
fn next(services: &Services, here: NodeId) -> Result<Option<MemberCommand>, String> {
    let groups = services.directory.with_rows(view::groups).map_err(|error| error.to_string())?;
    let mut kept = groups.into_iter().filter(|(_, row)| row.replica_on(here).is_some());
    Ok(kept.find_map(|(group, row)| {
        let remove = row.nodes().find(|node| *node != here)?;
        Some(MemberCommand::Place { group, revision: row.revision, add: None, remove: Some(remove) })
    }))
}
