//! SIGSTOP and, at the end, SIGCONT.

use super::{Fault, leader_or_any, named};
use crate::world::World;
use anyhow::Result;
use fastrand::Rng;

struct Paused {
    node: usize,
    stands: bool,
}

fn pause(world: &World, node: usize) -> Result<Box<dyn Fault>> {
    let stands = world.pause(node)?;
    Ok(Box::new(Paused { node, stands }))
}

/// A random node.
pub fn one(world: &World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    pause(world, random.usize(0..world.size()))
}

/// The leader of an account's shard.
pub fn leader(world: &World, random: &mut Rng, account: &str) -> Result<Box<dyn Fault>> {
    pause(world, leader_or_any(world, random, account))
}

impl Fault for Paused {
    fn what(&self) -> String {
        format!("stopped {}", named(&[self.node]))
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        world.resume(self.node);
        Ok(u64::from(self.stands))
    }
}
