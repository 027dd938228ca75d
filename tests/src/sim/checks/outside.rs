//! I7 for mail to elsewhere: every message that was accepted arrives at least once, nothing arrives that nobody sent, and
//! nothing is sent but under a claim on which the shard has agreed: a leader that is none any more can have no such claim.

use crate::sim::nemesis::CLOCK_JUMP_MAX_MS;
use crate::sim::world::{SHARDS, World};
use cluster::Role;
use model::queue::view;
use model::{GroupId, OperationId, Read, Reply, codec, key};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long after healing queues may take to become empty: what failed at first is tried again a few times.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until nothing is queued, then looks at what was sent.
pub async fn check(world: &Arc<World>) {
    if world.book.lock().faults.contains_key("clock jump") {
        // A claim that was made under a clock that was ahead ends when time has come so far.
        world.set_clocks(2 * CLOCK_JUMP_MAX_MS);
    }
    if !world.until(PATIENCE, || shards().all(|shard| is_empty(world, shard))).await {
        world.violation("liveness: mail to elsewhere stays in a queue".into());
        return;
    }
    let (accepted, arrived, begun) = {
        let outside = world.outside.lock();
        (outside.accepted.clone(), outside.arrived.clone(), outside.begun.clone())
    };
    for (message, shard) in accepted.iter().filter(|(message, _)| !arrived.contains_key(message)) {
        world.violation(format!("I7: accepted {message} of {shard} never arrived outside"));
    }
    for (message, count) in arrived.iter().filter(|(message, _)| !accepted.contains_key(message)) {
        world.violation(format!("I7: {message} arrived {count} times and was not accepted"));
    }
    let mut agreed = BTreeMap::new();
    for (shard, claim, message, machine) in begun {
        let claimed = agreed.entry((shard, claim)).or_insert_with(|| claimed_under(world, shard, claim));
        if !claimed.as_ref().is_some_and(|messages| messages.contains(&message)) {
            world.violation(format!(
                "I7: machine {machine} sent {message} of {shard} under a claim that was not agreed on: {claimed:?}"
            ));
        }
    }
}

fn shards() -> impl Iterator<Item = GroupId> {
    (1..=SHARDS).map(GroupId)
}

/// Whether the shard's leader has nothing in its queue.
fn is_empty(world: &World, shard: GroupId) -> bool {
    let clusters = world.machines().into_iter().filter_map(|machine| world.cluster(machine));
    let mut leaders = clusters.filter(|cluster| {
        cluster.status().groups.iter().any(|group| group.group == shard && group.role == Role::Leader)
    });
    leaders.next().is_some_and(|leader| {
        let rows = leader.read_stale(shard).ok();
        rows.and_then(|rows| view::list(&rows, None, 1).ok()).is_some_and(|queued| queued.is_empty())
    })
}

/// What the shard remembers to have answered to a claim.
fn claimed_under(world: &World, shard: GroupId, claim: OperationId) -> Option<Vec<OperationId>> {
    let stores = world.machines().into_iter().filter_map(|machine| world.life(machine)).map(|life| life.store);
    let store = stores.into_iter().find(|store| store.groups().contains(&shard))?;
    let rows = store.state(shard).ok()?.read().ok()?;
    match codec::decode(&rows.get(&key::operation(claim)).ok()??) {
        Ok(Reply::Claimed(messages)) => Some(messages),
        _ => None,
    }
}
