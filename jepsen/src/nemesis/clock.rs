//! Wall clocks jump (libfaketime); timers, which follow the monotonic clock, go on.

use super::{Fault, named};
use crate::world::World;
use anyhow::{Result, bail};
use fastrand::Rng;

/// The largest jump, seconds.
const JUMP_SECONDS_MAX: i64 = 300;

struct Jumped {
    node: usize,
    offset: i64,
    ticks: u32,
    noticed: u64,
}

/// A node's clock jumps, and jumps again while the fault lasts.
pub fn jump(world: &World, random: &mut Rng) -> Result<Box<dyn Fault>> {
    let mut fault = Jumped { node: random.usize(0..world.size()), offset: 0, ticks: 0, noticed: 0 };
    fault.set(world, random)?;
    Ok(Box::new(fault))
}

impl Jumped {
    fn set(&mut self, world: &World, random: &mut Rng) -> Result<()> {
        self.offset = random.i64(10..=JUMP_SECONDS_MAX) * if random.bool() { 1 } else { -1 };
        if !world.set_clock(self.node, self.offset)? {
            bail!("clocks need libfaketime");
        }
        Ok(())
    }
}

impl Fault for Jumped {
    fn what(&self) -> String {
        format!("the clock of {} is {:+} s off", named(&[self.node]), self.offset)
    }

    fn tick(&mut self, world: &mut World, random: &mut Rng) -> Result<()> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(12) {
            let asked = (self.node + 1) % world.size();
            let seen = world.clock_offset(asked, self.node).or_else(|| world.clock_offset(self.node, asked));
            // The other nodes say it themselves.
            self.noticed += u64::from(seen.is_some_and(|offset| offset.abs() > 5_000));
            self.set(world, random)?;
        }
        Ok(())
    }

    fn end(self: Box<Self>, world: &mut World) -> Result<u64> {
        world.set_clock(self.node, 0)?;
        Ok(self.noticed)
    }
}
