//! Mail sessions of simulated machines, and the clients that talk to them in bytes. A session is a task of a machine's life
//! that drives the product's own protocol machine and answers what it asks through the cluster's handle, as the drivers and
//! services of `node` do; it dies with the machine. There are no passwords: whoever names an account has proven it.
//!
//! ```text
//! user → imap_client → line ⇄ imap → store → here (propose, read) → cluster
//! sender → line ⇄ smtp → arriving → here
//! ```

mod arriving;
mod fetch;
mod here;
mod imap;
pub mod imap_client;
mod last;
mod line;
pub mod reader;
mod sender;
mod smtp;
mod store;
mod user;

pub use last::read_everywhere;
pub use sender::Sender;
pub use user::User;

use super::executor;
use super::network::Machine;
use super::world::{SHARDS, World};
use here::Here;
use line::Line;
use model::AccountId;
use std::sync::Arc;

/// What a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Imap,
    Smtp,
}

/// The accounts that are used through sessions alone; both live in the same shard.
pub fn accounts() -> [AccountId; 2] {
    let shards = u64::from(SHARDS);
    [AccountId(2_000 * shards), AccountId(2_001 * shards)]
}

/// A connection to a machine with a session at its other end; `None` when no node runs there.
fn connect(world: &World, machine: Machine, service: Service) -> Option<Line> {
    let cluster = world.cluster(machine)?;
    let life = world.life(machine)?;
    let clock = world.hosts.lock().get(&machine)?.clock();
    let (near, far) = Line::between(&world.links, machine);
    let here = Here::new(cluster, clock, life.snapshots);
    let session: futures::future::BoxFuture<'static, ()> = match service {
        Service::Imap => Box::pin(imap::serve(far, here)),
        Service::Smtp => Box::pin(smtp::serve(far, here)),
    };
    executor::current().spawn_for(life.owner, session);
    Some(near)
}

/// The name an account logs in with, which is the local part of its address.
fn name_of(account: AccountId) -> String {
    format!("w{}", account.0)
}

/// The account of such a name.
fn account_of(name: &str) -> Option<AccountId> {
    name.strip_prefix('w')?.parse().ok().map(AccountId)
}

/// Reads and changes of one mailbox by several clients at the same time, and mail that comes in meanwhile.
pub fn clients(world: &Arc<World>, number: u64) -> (Vec<User>, Sender) {
    let [shared, _] = accounts();
    let users = (0..2).map(|place| User::new(world, number + place, shared)).collect();
    (users, Sender::new(world, number + 2))
}
