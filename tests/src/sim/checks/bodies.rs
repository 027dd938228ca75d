//! I2: whoever has a message's row has its bytes, whole.

use crate::sim::world::{World, groups};
use model::txn::scan_prefix;
use model::{BodyHash, UidSet};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Looks at every body that rows of a machine name.
pub fn check(world: &World) {
    for machine in world.machines() {
        let Some(store) = world.life(machine).map(|life| life.store) else { continue };
        let mut named = BTreeSet::new();
        for group in store.groups().into_iter().filter(|group| groups().any(|known| known == *group)) {
            let Ok(rows) = store.state(group).and_then(|state| state.read()) else { continue };
            named.extend(bodies_in(&rows));
        }
        for hash in named {
            let found = store.bodies().open_here(&hash).and_then(|body| body.hash());
            if !matches!(found, Ok(found) if found == hash) {
                world.violation(format!("I2: machine {machine} has no whole body {}: {found:?}", hash.to_hex()));
            }
        }
    }
}

fn bodies_in(rows: &storage::ReadView) -> BTreeSet<BodyHash> {
    let mut found = BTreeSet::new();
    let mut accounts = BTreeSet::new();
    // Account rows begin with their table's letter and their id.
    let scanned = scan_prefix(rows, &[model::key::account(model::AccountId(0))[0]], &mut |key, _| {
        accounts.extend(model::key::number_at(key, 1).map(model::AccountId));
        ControlFlow::Continue(())
    });
    if scanned.is_err() {
        return found;
    }
    for account in accounts {
        for folder in model::mailbox::view::folders(rows, account).unwrap_or_default() {
            let all = UidSet::from_ranges([(1, u32::MAX)]);
            let _ = model::mailbox::view::messages_of(rows, account, folder.id, &all, &mut |_, row| {
                found.insert(row.hash);
                Ok(())
            });
        }
    }
    found
}
