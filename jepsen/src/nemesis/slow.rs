//! Lines that are slow or lose packets.

use super::Fault;
use crate::world::World;
use anyhow::Result;
use std::time::Duration;

/// Every packet waits this long at its receiver, and up to as much again twice.
const DELAY: Duration = Duration::from_millis(40);
/// On top, by chance.
const JITTER: Duration = Duration::from_millis(80);
/// The part of packets lost.
const LOST: f64 = 0.2;

struct Disturbed {
    what: &'static str,
}

/// Packets come late and out of order.
pub fn late(world: &mut World) -> Result<Box<dyn Fault>> {
    for node in 0..world.size() {
        world.disturb(node, 0.0, Some((DELAY, JITTER)))?;
    }
    Ok(Box::new(Disturbed { what: "packets 40 to 120 ms late everywhere" }))
}

/// Packets are lost.
pub fn lost(world: &mut World) -> Result<Box<dyn Fault>> {
    for node in 0..world.size() {
        world.disturb(node, LOST, None)?;
    }
    Ok(Box::new(Disturbed { what: "a fifth of the packets lost everywhere" }))
}

impl Fault for Disturbed {
    fn what(&self) -> String {
        self.what.to_owned()
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        (0..world.size()).map(|node| world.calm(node)).sum()
    }
}
