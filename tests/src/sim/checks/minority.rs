//! I10: a machine that nobody can hear, or that can hear nobody, acknowledges nothing that was begun since.

use crate::sim::network::Machine;
use crate::sim::world::World;
use model::Reply;

/// Whether a machine was alone when something began.
pub struct Alone {
    machine: Machine,
    was_alone: bool,
    cuts: u64,
}

impl Alone {
    /// As of this moment.
    pub fn now(world: &World, machine: Machine) -> Self {
        // Once two were asked to leave, one machine may be all there is.
        let was_alone = world.leaving() < 2 && world.links.is_alone(machine, world.machines().into_iter());
        Alone { machine, was_alone, cuts: world.links.heals() }
    }

    /// Something that began then was acknowledged now.
    pub fn check_acknowledged(&self, world: &World, reply: &Reply) {
        if self.was_alone && self.cuts == world.links.heals() && world.leaving() < 2 {
            world.violation(format!("I10: machine {} is alone and acknowledged {reply:?}", self.machine));
        }
    }
}
