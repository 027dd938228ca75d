//! Cables are cut: nodes do not hear each other, clients reach all of them.

use super::{Fault, leader_or_any, named, some};
use crate::world::World;
use anyhow::Result;
use fastrand::Rng;

struct Cut {
    what: String,
}

impl Fault for Cut {
    fn what(&self) -> String {
        self.what.clone()
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        world.mend()
    }
}

fn between(world: &World, these: &[usize], those: &[usize]) -> Result<()> {
    for (one, other) in these.iter().flat_map(|one| those.iter().map(move |other| (*one, *other))) {
        world.cut(one, other)?;
        world.cut(other, one)?;
    }
    Ok(())
}

fn others(world: &World, nodes: &[usize]) -> Vec<usize> {
    (0..world.size()).filter(|node| !nodes.contains(node)).collect()
}

fn cut_off(world: &World, nodes: &[usize]) -> Result<Box<dyn Fault>> {
    between(world, nodes, &others(world, nodes))?;
    Ok(Box::new(Cut { what: format!("cut off {}", named(nodes)) }))
}

/// The largest minority and the rest.
pub fn halves(world: &World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let minority = some(world, random, (world.size() - 1) / 2);
    cut_off(world, &minority)
}

/// The leader of an account's shard alone.
pub fn leader(world: &World, random: &mut Rng, account: &str) -> Result<Box<dyn Fault>> {
    let node = leader_or_any(world, random, account);
    cut_off(world, &[node])
}

/// Each node hears its neighbours on a ring, so many that each hears a majority. With three nodes that would be all: one
/// pair is cut, and the third is the bridge.
pub fn ring(world: &World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let nodes = some(world, random, world.size());
    let count = nodes.len();
    let reach = if count == 3 { 0 } else { (count / 2).div_ceil(2) };
    for (place, one) in nodes.iter().enumerate() {
        for (further, other) in nodes.iter().enumerate().skip(place + 1) {
            let apart = (further - place).min(count - (further - place));
            let keeps = if count == 3 { place == 1 || further == 1 } else { apart <= reach };
            if !keeps {
                between(world, &[*one], &[*other])?;
            }
        }
    }
    Ok(Box::new(Cut { what: format!("a ring of {}", named(&nodes)) }))
}

/// One node is deaf or dumb.
pub fn one_way(world: &World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let (node, deaf) = (random.usize(0..world.size()), random.bool());
    for other in others(world, &[node]) {
        if deaf { world.cut(other, node)? } else { world.cut(node, other)? }
    }
    let word = if deaf { "hears nobody" } else { "is heard by nobody" };
    Ok(Box::new(Cut { what: format!("{} {word}", named(&[node])) }))
}

struct Flapping {
    node: usize,
    cut: bool,
    dropped: u64,
    ticks: u32,
}

/// A node is cut off and mended again and again.
pub fn flapping(world: &World, random: &mut Rng) -> Box<dyn Fault> {
    Box::new(Flapping { node: random.usize(0..world.size()), cut: false, dropped: 0, ticks: 0 })
}

impl Fault for Flapping {
    fn what(&self) -> String {
        format!("{} is cut off and mended again and again", named(&[self.node]))
    }

    fn tick(&mut self, world: &mut World, random: &mut Rng) -> Result<()> {
        self.ticks += 1;
        // Changes after 0.2 to 2 s.
        if self.ticks < random.u32(1..10) {
            return Ok(());
        }
        self.ticks = 0;
        if self.cut {
            self.dropped += world.mend()?;
        } else {
            between(world, &[self.node], &others(world, &[self.node]))?;
        }
        self.cut = !self.cut;
        Ok(())
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        Ok(self.dropped + world.mend()?)
    }
}
