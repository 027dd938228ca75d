//! A disk is full.

use super::{Fault, named};
use crate::world::World;
use anyhow::{Context, Result};
use fastrand::Rng;

struct Full {
    node: usize,
    bytes: u64,
}

/// The disk of a random node.
pub fn full(world: &World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let node = random.usize(0..world.size());
    let bytes = world.disk(node).context("no disks of their own")?.fill()?;
    Ok(Box::new(Full { node, bytes }))
}

impl Fault for Full {
    fn what(&self) -> String {
        format!("the disk of {} is full", named(&[self.node]))
    }

    fn tick(&mut self, world: &mut World, _random: &mut Rng) -> Result<()> {
        // What the node freed meanwhile is taken, too.
        world.disk(self.node).context("a disk")?.fill().map(drop)
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        world.disk(self.node).context("a disk")?.free();
        // A node that gave up is started again, as its service manager would.
        world.restart(self.node)?;
        Ok(self.bytes)
    }
}
