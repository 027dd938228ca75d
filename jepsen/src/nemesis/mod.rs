//! Faults: each begins, may act while it lasts, and ends; each says what it did and what shows that it met something.

mod clock;
mod disk;
mod kill;
mod members;
mod partition;
mod pause;
pub mod schedule;
mod slow;

use crate::world::World;
use anyhow::{Result, bail};
use fastrand::Rng;

/// A fault that is going on.
pub trait Fault {
    /// What was done, in words.
    fn what(&self) -> String;
    /// Called every few hundred milliseconds while it lasts.
    fn tick(&mut self, _world: &mut World, _random: &mut Rng) -> Result<()> {
        Ok(())
    }
    /// Undoes it. What shows that it met something: packets, processes, bytes; 0 when nothing does.
    fn end(self: Box<Self>, world: &mut World) -> Result<u64>;
}

/// All kinds, with what they are.
pub const KINDS: [(&str, &str); 18] = [
    ("kill-one", "kill -9 of a random node"),
    ("kill-leader", "kill -9 of the node that leads the watched account's shard"),
    ("kill-majority", "kill -9 of a majority at once"),
    ("kill-all", "kill -9 of all nodes at once"),
    ("pause-one", "SIGSTOP of a random node, then SIGCONT"),
    ("pause-leader", "SIGSTOP of a leader, then SIGCONT: it wakes up believing"),
    ("partition-halves", "a minority and a majority cannot reach each other"),
    ("partition-leader", "a leader alone"),
    ("partition-ring", "every node sees a majority, no two see the same (three nodes: a bridge)"),
    ("partition-one-way", "one node is heard by nobody and hears all, or the other way round"),
    ("partition-flapping", "a node is cut off and mended again and again"),
    ("slow", "packets 40 to 120 ms late, out of order"),
    ("loss", "a fifth of the packets lost at every node"),
    ("clock", "the wall clock of a node jumps by up to five minutes, back and forth"),
    ("disk-full", "the disk of a node is full"),
    ("drain", "a node is drained, stopped, started and undrained"),
    ("rolling", "all nodes are stopped and started in turn"),
    ("members", "a node is removed for good, forgets all, and joins as a new one"),
];

/// The kinds that a list of names means; `all`, a kind, or a group such as `kill` or `partition`.
pub fn chosen(names: &[String]) -> Result<Vec<&'static str>> {
    let mut kinds = Vec::new();
    for name in names {
        let found: Vec<_> = KINDS
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| {
                name == "all"
                    || kind == name
                    || kind.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'))
            })
            .collect();
        if found.is_empty() && name != "none" {
            bail!("there is no nemesis {name}; there are {:?}", KINDS.map(|(kind, _)| kind));
        }
        kinds.extend(found.into_iter().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
    }
    Ok(kinds)
}

/// Kinds that change which nodes run: never two at a time, nor beside others that count on a node.
pub fn is_about_processes(kind: &str) -> bool {
    kind.starts_with("kill") || matches!(kind, "drain" | "rolling" | "members" | "disk-full")
}

/// Begins a fault.
pub fn begin(kind: &str, world: &mut World, random: &mut Rng, watched: &str) -> Result<Box<dyn Fault>> {
    Ok(match kind {
        "kill-one" => kill::one(world, random),
        "kill-leader" => kill::leader(world, random, watched),
        "kill-majority" => kill::majority(world, random),
        "kill-all" => kill::all(world),
        "pause-one" => pause::one(world, random)?,
        "pause-leader" => pause::leader(world, random, watched)?,
        "partition-halves" => partition::halves(world, random)?,
        "partition-leader" => partition::leader(world, random, watched)?,
        "partition-ring" => partition::ring(world, random)?,
        "partition-one-way" => partition::one_way(world, random)?,
        "partition-flapping" => partition::flapping(world, random),
        "slow" => slow::late(world)?,
        "loss" => slow::lost(world)?,
        "clock" => clock::jump(world, random)?,
        "disk-full" => disk::full(world, random)?,
        "drain" => members::drain(world, random)?,
        "rolling" => members::rolling(world),
        "members" => members::exchange(world, random)?,
        other => bail!("there is no nemesis {other}"),
    })
}

/// The node that leads an account's shard; a random one when nobody knows.
fn leader_or_any(world: &World, random: &mut Rng, account: &str) -> usize {
    world.leader_of(account).unwrap_or_else(|| random.usize(0..world.size()))
}

/// So many different nodes.
fn some(world: &World, random: &mut Rng, count: usize) -> Vec<usize> {
    let mut all: Vec<_> = (0..world.size()).collect();
    random.shuffle(&mut all);
    all.truncate(count);
    all
}

/// Nodes in words.
fn named(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_chosen_by_name_and_by_group() {
        let chosen = |name: &str| chosen(&[name.to_owned()]);
        assert_eq!(chosen("all").unwrap().len(), KINDS.len());
        assert_eq!(chosen("kill").unwrap().len(), 4);
        assert_eq!(chosen("slow").unwrap(), ["slow"]);
        assert!(chosen("none").unwrap().is_empty());
        assert!(chosen("sloth").is_err());
    }
}
