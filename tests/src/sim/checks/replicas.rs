//! I3: replicas that have applied the same entries have the same rows.

use crate::sim::world::{World, groups};
use model::txn::scan_prefix;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::ops::ControlFlow;

/// Compares what every replica that runs has now with what others had at the same index.
pub fn check(world: &World) {
    for machine in world.machines() {
        let Some(store) = world.life(machine).map(|life| life.store) else { continue };
        for group in store.groups().into_iter().filter(|group| groups().any(|known| known == *group)) {
            let Ok(state) = store.state(group) else { continue };
            let (Some((index, _)), Ok(rows)) = (state.applied(), state.read()) else { continue };
            let mut hasher = DefaultHasher::new();
            let scanned = scan_prefix(&rows, b"", &mut |key, value| {
                hasher.write_usize(key.len());
                hasher.write(key);
                hasher.write_usize(value.len());
                hasher.write(value);
                ControlFlow::Continue(())
            });
            if let Err(error) = scanned {
                world.violation(format!("I3: {group} of machine {machine} cannot be read: {error}"));
                continue;
            }
            let hash = hasher.finish();
            let (first, by) = *world.book.lock().states.entry((group, index)).or_insert((hash, machine));
            if first != hash {
                world.violation(format!("I3: {group} at {index} differs on machines {by} and {machine}"));
            }
        }
    }
}
