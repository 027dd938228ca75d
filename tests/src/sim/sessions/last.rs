//! The last word: when everything is healed, every machine shows every message of the accounts used through sessions.

use super::accounts;
use super::user::User;
use crate::sim::world::World;
use cluster::runtime::{Instant, sleep};
use std::sync::Arc;
use std::time::Duration;

/// How long a machine may take to show a mailbox.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads everything on every machine.
pub async fn read_everywhere(world: &Arc<World>) {
    for machine in world.machines() {
        for account in accounts() {
            let mut user = User::on(world, machine, account);
            let deadline = Instant::now() + PATIENCE;
            while !user.read_all().await {
                if Instant::now() > deadline {
                    world.violation(format!("liveness: machine {machine} does not show account {}", account.0));
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
