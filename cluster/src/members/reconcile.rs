//! Making a group what its row says: the leader adds replicas that learn, waits until they have caught up, changes the
//! voters in one joint step and takes out who is left over. Whatever is cut short is taken up again by whoever leads then.

use crate::handle::Cluster;
use crate::limits::{
    CATCH_UP_LAG_MAX, CHANGE_TIMEOUT, RECONCILE_INTERVAL, RECONCILE_INTERVAL_IDLE, RECONCILED_AT_A_TIME,
};
use crate::members::rows::{Rows, Shall};
use crate::raft::{ChangeError, Member, Members, Replica};
use crate::runtime::Instant;
use futures::StreamExt;
use std::collections::BTreeSet;

/// Runs until it is dropped.
pub async fn run(cluster: Cluster) {
    let mut watch = cluster.inner().directory.watch();
    loop {
        let is_busy = match cluster.inner().directory.rows().await {
            Some(rows) => round(&cluster, &rows).await,
            None => false,
        };
        watch.changed(if is_busy { RECONCILE_INTERVAL } else { RECONCILE_INTERVAL_IDLE }).await;
    }
}

/// One step for each group led here that is not as it shall be; says whether there are any.
async fn round(cluster: &Cluster, rows: &Rows) -> bool {
    let led = cluster.inner().holdings.groups().into_iter().filter_map(|group| {
        let shall = rows.shall(group.parts().group)?;
        let replica = group.replica().filter(|replica| replica.leadership().here)?;
        (!is_as(&replica.members(), &shall)).then_some((replica, shall))
    });
    let steps = futures::stream::iter(led.map(|(replica, shall)| async move {
        let group = replica.parts().group;
        match step(&replica, &shall).await {
            Ok(()) => {}
            Err(ChangeError::NotLeader) => tracing::debug!(%group, "another replica leads now"),
            Err(error) => tracing::info!(%group, %error, "the group is not yet as it shall be; trying again"),
        }
    }));
    steps.buffer_unordered(RECONCILED_AT_A_TIME).count().await > 0
}

fn is_as(is: &Members, shall: &Shall) -> bool {
    is.settled && is.nodes == shall.places && is.voters == shall.voters
}

async fn step(replica: &Replica, shall: &Shall) -> Result<(), ChangeError> {
    let (is, deadline) = (replica.members(), Instant::now() + CHANGE_TIMEOUT);
    if !is.settled {
        // A leader before this one may have left a change half done; finishing what is finished does nothing.
        replica.set_voters(is.voters.clone(), deadline).await?;
    }
    for (id, node) in shall.places.iter().filter(|(id, _)| !is.nodes.contains_key(id)) {
        let member = Member { node: *node, address: String::new() };
        replica.add_learner(*id, member, deadline).await?;
        tracing::info!(group = %replica.parts().group, replica = id, node = node.0, "a replica is being added");
    }
    if is.voters != shall.voters {
        return change_voters(replica, &is, shall, deadline).await;
    }
    let over: BTreeSet<u64> = is.nodes.into_keys().filter(|id| !shall.places.contains_key(id)).collect();
    if over.is_empty() {
        return Ok(());
    }
    tracing::info!(group = %replica.parts().group, replicas = ?over, "replicas are taken out");
    replica.remove_learners(over, deadline).await
}

async fn change_voters(replica: &Replica, is: &Members, shall: &Shall, deadline: Instant) -> Result<(), ChangeError> {
    let own = replica.parts().replica;
    let Some(caught_up) = caught_up(replica) else { return Err(ChangeError::NotLeader) };
    let target = next_voters(&is.voters, &shall.voters, &caught_up);
    if target == is.voters {
        // Newcomers are still being given the log.
        return Ok(());
    }
    if target.contains(&own) {
        return replica.set_voters(target, deadline).await;
    }
    // A leader that shall not vote hands over first, to somebody who stays.
    match target.iter().find(|id| is.voters.contains(id) && caught_up.contains(id)) {
        Some(heir) => replica.transfer(*heir, deadline).await,
        None => {
            let both: BTreeSet<u64> = target.into_iter().chain([own]).collect();
            if both == is.voters { Ok(()) } else { replica.set_voters(both, deadline).await }
        }
    }
}

/// Newcomers vote once they have caught up, each for itself: one that is away holds up nobody. Who shall not vote any
/// more does so until all of them do.
fn next_voters(is: &BTreeSet<u64>, shall: &BTreeSet<u64>, caught_up: &BTreeSet<u64>) -> BTreeSet<u64> {
    let ready: BTreeSet<u64> = shall.iter().copied().filter(|id| is.contains(id) || caught_up.contains(id)).collect();
    if ready == *shall { ready } else { is.union(&ready).copied().collect() }
}

/// The replicas that lack only what came just now; `None` when this one does not lead.
fn caught_up(replica: &Replica) -> Option<BTreeSet<u64>> {
    let last = replica.last_log().unwrap_or(0);
    let matched = replica.matched()?.into_iter();
    let near = matched.filter(|(_, index)| index.is_some_and(|index| index + CATCH_UP_LAG_MAX >= last));
    Some(near.map(|(id, _)| id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(is: &[u64], shall: &[u64], caught_up: &[u64]) -> Vec<u64> {
        let set = |ids: &[u64]| ids.iter().copied().collect();
        next_voters(&set(is), &set(shall), &set(caught_up)).into_iter().collect()
    }

    #[test]
    fn voters_go_only_when_those_in_their_place_have_caught_up() {
        assert_eq!(next(&[1, 2, 3], &[2, 3, 4], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(next(&[1, 2, 3], &[2, 3, 4], &[1, 2, 3, 4]), [2, 3, 4]);
        assert_eq!(next(&[1, 2, 3], &[1, 2], &[1]), [1, 2], "who is away goes on voting");
    }

    #[test]
    fn a_newcomer_that_is_away_does_not_hold_up_another() {
        assert_eq!(next(&[1], &[1, 2, 3], &[1, 3]), [1, 3]);
        assert_eq!(next(&[1, 3], &[1, 2, 3], &[1, 3]), [1, 3]);
        assert_eq!(next(&[1, 3], &[1, 2, 3], &[1, 2, 3]), [1, 2, 3]);
    }
}
