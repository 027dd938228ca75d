//! I1 in the end: every acknowledged message is on every replica of its account's shard.

use crate::sim::book::Mail;
use crate::sim::world::{World, shard_of};
use model::mailbox::view;
use model::{BodyHash, UidSet};
use std::collections::BTreeSet;

/// Looks at what every machine has.
pub fn check(world: &World) {
    let mail = world.book.lock().mail.clone();
    let accounts: BTreeSet<_> = mail.keys().map(|(account, _)| *account).collect();
    for machine in world.machines() {
        let Some(store) = world.life(machine).map(|life| life.store) else { continue };
        for account in &accounts {
            let group = shard_of(*account);
            if !store.groups().contains(&group) {
                continue;
            }
            let read = || -> Result<BTreeSet<BodyHash>, String> {
                let rows = store.state(group).and_then(|state| state.read()).map_err(|error| error.to_string())?;
                let mut found = BTreeSet::new();
                for folder in view::folders(&rows, *account).map_err(|error| error.to_string())? {
                    let all = UidSet::from_ranges([(1, u32::MAX)]);
                    let visited = view::messages_of(&rows, *account, folder.id, &all, &mut |_, row| {
                        found.insert(row.hash);
                        Ok(())
                    });
                    visited.map_err(|error| error.to_string())?;
                }
                Ok(found)
            };
            match read() {
                Err(error) => world.violation(format!("machine {machine}: account {}: {error}", account.0)),
                Ok(found) => {
                    let lost = mail.iter().filter(|((of, hash), mail)| {
                        of == account && **mail == Mail::Acknowledged && !found.contains(hash)
                    });
                    for ((_, hash), _) in lost {
                        world.violation(format!("I1: acknowledged {} is not on machine {machine}", hash.to_hex()));
                    }
                }
            }
        }
    }
}
