//! One seed from blank disks to the last check.

use super::book::Mail;
use super::changes::{Changes, remove_stranded};
use super::checks::{acknowledged, bodies, liveness, outside, replicas, sequential};
use super::client::{Client, hash_of};
use super::executor::{Executor, Stuck};
use super::nemesis;
use super::network::{Machine, address_of};
use super::random::Random;
use super::sessions;
use super::world::{SHARDS, World, shard_of};
use cluster::Join;
use cluster::runtime::{sleep, spawn};
use model::mailbox::MailboxCommand;
use model::reply::Delivered;
use model::{AccountId, GroupId, Reply};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Machines of the cluster.
    pub machines: Machine,
    /// How long things go wrong, in simulated time.
    pub length: Duration,
    /// Steps of each client.
    pub steps: u64,
    /// How many seeds in a hundred exchange machines; they last twice as long.
    pub changes_percent: u64,
    /// How many seeds in a hundred have clients that speak IMAP and SMTP as well. Those that have none are as they are
    /// with 0.
    pub sessions_percent: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { machines: 3, length: Duration::from_secs(8), steps: 12, changes_percent: 40, sessions_percent: 50 }
    }
}

/// What became of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The hash of everything that happened.
    pub trace: u64,
    /// What must not have been.
    pub violations: Vec<String>,
    /// Operations that were answered.
    pub done: u64,
    /// Tries whose outcome was unknown.
    pub unknown: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Commands that mail sessions answered.
    pub commands: u64,
    /// How often a task ran.
    pub polls: u64,
    /// Simulated time.
    pub length: Duration,
    /// Faults that happened, by name.
    pub faults: BTreeMap<&'static str, u64>,
}

/// Runs a seed.
pub fn run(seed: u64, settings: Settings) -> Outcome {
    let executor = Executor::new(seed);
    let mut random = Random::new(seed ^ 0x006d_6169_6c6e_6f64);
    let plan = random.fork();
    let has_sessions = Random::new(seed ^ 0x0073_6573_7369_6f6e).chance(settings.sessions_percent);
    let ended = executor.run(async move {
        let world = World::new(random);
        live(&world, plan, settings, has_sessions).await;
        let book = world.book.lock();
        let counts = [book.done, book.unknown, book.reads, book.commands];
        let faults = book.faults.clone();
        drop(book);
        for machine in world.machines() {
            world.crash(machine);
        }
        (world.violations(), counts, faults)
    });
    let length = cluster::runtime::simulation::Simulation::now(&*executor);
    let (mut violations, [done, unknown, reads, commands], faults) = match ended {
        Ok(ended) => ended,
        Err(Stuck::Deadlock) => (vec!["nothing can go on".into()], [0; 4], BTreeMap::new()),
        Err(Stuck::Busy) => (vec!["a task never waits".into()], [0; 4], BTreeMap::new()),
    };
    violations.extend(executor.panics().into_iter().map(|panic| format!("a panic: {panic}")));
    let (trace, polls) = (executor.trace(), executor.polls());
    Outcome { trace, violations, done, unknown, reads, commands, polls, length, faults }
}

async fn live(world: &Arc<World>, mut plan: Random, settings: Settings, has_sessions: bool) {
    if !form(world, settings.machines).await {
        world.violation("liveness: the cluster does not form".into());
        return;
    }
    let exchanges = plan.chance(settings.changes_percent);
    let times = if exchanges { 2 } else { 1 };
    let steps = settings.steps * u64::from(times);
    let running = Arc::new(AtomicUsize::new(0));
    let accounts: Vec<AccountId> = (0..2 * u64::from(SHARDS)).map(AccountId).collect();
    let mut number = 0;
    let mut clients = Vec::new();
    for account in &accounts {
        number += 1;
        let mut client = Client::new(world, number);
        let address = format!("a{}@example.org", account.0);
        client.command(*account, MailboxCommand::CreateAccount { account: *account, address }).await;
        clients.push((client, *account));
    }
    for (client, account) in clients {
        let others = accounts.iter().copied().filter(|other| shard_of(*other) == shard_of(account)).collect();
        begin(&running, correspond(client, others, steps));
    }
    for shard in 0..u64::from(SHARDS) {
        number += 1;
        let account = AccountId(1_000 + shard);
        begin(&running, sequential::run(Client::new(world, number), account, steps));
    }
    for shard in (1..=SHARDS).map(GroupId) {
        number += 1;
        begin(&running, send_out(Client::new(world, number), shard, steps / 2));
    }
    if has_sessions {
        let (users, sender) = sessions::clients(world, number + 1);
        users.into_iter().for_each(|user| begin(&running, user.run(steps)));
        begin(&running, sender.run(steps / 2));
    }
    let watching = world.clone();
    let watch = spawn(async move {
        loop {
            sleep(Duration::from_millis(700)).await;
            replicas::check(&watching);
        }
    });
    let changes = Changes::default();
    if exchanges {
        let count = 1 + u8::from(plan.chance(30));
        changes.exchange(world, plan.fork(), settings.machines + 1, count);
    }
    nemesis::run(world.clone(), plan.fork(), settings.length * times).await;
    // Machines that were stopped a moment ago come back by themselves.
    sleep(Duration::from_secs(5)).await;
    nemesis::calm(world);
    liveness::changes_end(world, || changes.under_way()).await;
    remove_stranded(world).await;
    liveness::members(world).await;
    liveness::check(world).await;
    liveness::clients_end(world, || running.load(Relaxed)).await;
    if has_sessions {
        sessions::read_everywhere(world).await;
    }
    outside::check(world).await;
    liveness::check(world).await;
    watch.abort();
    replicas::check(world);
    acknowledged::check(world);
    bodies::check(world);
}

fn begin(running: &Arc<AtomicUsize>, client: impl Future<Output = ()> + Send + 'static) {
    running.fetch_add(1, Relaxed);
    let running = running.clone();
    spawn(async move {
        client.await;
        running.fetch_sub(1, Relaxed);
    });
}

/// One machine makes a cluster, the others join; done when every group has a voter on each.
async fn form(world: &Arc<World>, machines: Machine) -> bool {
    world.add(1, None);
    let patience = Duration::from_secs(120);
    if !world.until(patience, || world.cluster(1).is_some()).await {
        return false;
    }
    for machine in 2..=machines {
        let token = world.ask(1, |cluster| async move { cluster.create_token(Duration::from_secs(3_600)).await }).await;
        let Some(Ok(token)) = token else { return false };
        world.add(machine, Some(Join { address: address_of(1).to_string(), token }));
        if !world.until(patience, || world.cluster(machine).is_some()).await {
            return false;
        }
    }
    world.until(patience, || liveness::is_whole(world)).await
}

/// Sends mail to accounts that others send to as well, and reads them.
async fn correspond(mut client: Client, accounts: Vec<AccountId>, steps: u64) {
    for _ in 0..steps {
        let pause = Duration::from_millis(client.random().range(1, 600));
        sleep(pause).await;
        let Some(account) = client.random().pick(&accounts).copied() else { return };
        if client.random().chance(35) {
            client.read(account, "INBOX").await;
            continue;
        }
        let to_all = client.random().chance(30);
        let to = if to_all { accounts.clone() } else { vec![account] };
        let bytes = client.write();
        let hash = hash_of(&bytes);
        let all = to.iter().map(|account| ((*account, hash), Mail::Tried));
        client.world().book.lock().mail.extend(all);
        let reply = client.deliver(to.clone(), bytes).await;
        match &reply {
            Reply::Delivered(each) if each.iter().all(|one| matches!(one, Delivered::In { .. })) => {
                let all = to.iter().map(|account| ((*account, hash), Mail::Acknowledged));
                client.world().book.lock().mail.extend(all);
            }
            _ => client.world().violation(format!("a message was sent and the answer was {reply:?}")),
        }
    }
}

/// Sends mail to elsewhere.
async fn send_out(mut client: Client, shard: GroupId, steps: u64) {
    for _ in 0..steps {
        let pause = Duration::from_millis(client.random().range(1, 1_200));
        sleep(pause).await;
        let bytes = client.write();
        client.send_out(shard, bytes).await;
    }
}
