//! kill -9. The nodes start again at the end.

use super::{Fault, leader_or_any, named, some};
use crate::world::World;
use anyhow::Result;
use fastrand::Rng;

struct Killed {
    nodes: Vec<usize>,
    ran: u64,
}

fn kill(world: &mut World, nodes: Vec<usize>) -> Box<dyn Fault> {
    let ran = nodes.iter().filter(|node| world.kill(**node)).count() as u64;
    Box::new(Killed { nodes, ran })
}

/// A random node.
pub fn one(world: &mut World, random: &mut Rng) -> Box<dyn Fault> {
    let nodes = some(world, random, 1);
    kill(world, nodes)
}

/// The leader of an account's shard.
pub fn leader(world: &mut World, random: &mut Rng, account: &str) -> Box<dyn Fault> {
    let node = leader_or_any(world, random, account);
    kill(world, vec![node])
}

/// A majority.
pub fn majority(world: &mut World, random: &mut Rng) -> Box<dyn Fault> {
    let nodes = some(world, random, world.size() / 2 + 1);
    kill(world, nodes)
}

/// All.
pub fn all(world: &mut World) -> Box<dyn Fault> {
    kill(world, (0..world.size()).collect())
}

impl Fault for Killed {
    fn what(&self) -> String {
        format!("killed {}", named(&self.nodes))
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        for node in &self.nodes {
            world.restart(*node)?;
        }
        Ok(self.ran)
    }
}
