//! Nodes that go and come on purpose: drained, restarted in turn, removed for good and joined anew.

use super::{Fault, named};
use crate::limits::{LOOK_INTERVAL, REMOVAL_PATIENCE};
use crate::world::World;
use anyhow::{Context, Result, bail};
use fastrand::Rng;
use std::thread;
use std::time::Instant;

struct Done {
    what: String,
    steps: u64,
}

impl Fault for Done {
    fn what(&self) -> String {
        self.what.clone()
    }

    fn end(self: Box<Self>, _world: &mut World) -> Result<u64> {
        Ok(self.steps)
    }
}

/// Drained, stopped, started, undrained, as before an upgrade.
pub fn drain(world: &mut World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let node = random.usize(0..world.size());
    let name = world.name(node).to_owned();
    let drained = tell(world, node, &["node", "drain", &name]);
    world.stop(node);
    world.restart(node)?;
    world.ready(node)?;
    let undrained = (0..5).any(|_| tell(world, node, &["node", "undrain", &name]));
    if !undrained {
        bail!("{name} cannot be undrained");
    }
    Ok(Box::new(Done { what: format!("drained and restarted {}", named(&[node])), steps: u64::from(drained) }))
}

fn tell(world: &World, node: usize, command: &[&str]) -> bool {
    world.cli(node, command, "").is_some_and(|output| output.status.success())
}

struct Rolling {
    next: usize,
    restarted: u64,
}

/// All nodes in turn, one a tick.
pub fn rolling(_world: &mut World) -> Box<dyn Fault> {
    Box::new(Rolling { next: 0, restarted: 0 })
}

impl Fault for Rolling {
    fn what(&self) -> String {
        "stopped and started all nodes in turn".to_owned()
    }

    fn tick(&mut self, world: &mut World, _random: &mut Rng) -> Result<()> {
        if self.next < world.size() {
            world.stop(self.next);
            world.restart(self.next)?;
            world.ready(self.next)?;
            self.next += 1;
            self.restarted += 1;
        }
        Ok(())
    }

    fn end(self: Box<Self>, _world: &mut World) -> Result<u64> {
        Ok(self.restarted)
    }
}

/// Removed for good; forgets all and joins as a new node.
pub fn exchange(world: &mut World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let node = random.usize(0..world.size());
    let asked = (node + 1) % world.size();
    let name = world.name(node).to_owned();
    let removed = (0..5).any(|_| tell(world, asked, &["node", "remove", &name]));
    if !removed {
        bail!("{name} cannot be removed");
    }
    let end = Instant::now() + REMOVAL_PATIENCE;
    while world.belonging(asked).is_none_or(|names| names.contains(&name)) {
        if Instant::now() > end {
            bail!("{name} is not gone {REMOVAL_PATIENCE:?} after its removal");
        }
        thread::park_timeout(LOOK_INTERVAL * 4);
    }
    world.wipe(node)?;
    world.enter(node).context("it cannot join again")?;
    let what = format!("removed {}, joined it anew as {}", named(&[node]), world.name(node));
    Ok(Box::new(Done { what, steps: 2 }))
}
