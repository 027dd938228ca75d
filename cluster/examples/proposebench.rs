//! Proposals per second through consensus and storage, and the processor time each costs: 50 proposers of 4 KB
//! deliveries, spread over accounts and shards.
//!
//! `cargo run --release -p cluster --example proposebench -- [messages] [proposers] [body bytes] [data directory]`

use bytes::Bytes;
use cluster::{Cluster, StartOptions};
use model::mailbox::{LocalRecipient, MailboxCommand};
use model::{AccountId, BodyHash, BodyRef, Command, GroupId, OperationId};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::{Options, Store};

const ACCOUNTS: u64 = 64;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let argument = |at: usize, default: u64| std::env::args().nth(at).map_or(default, |text| text.parse().unwrap());
    let (messages, proposers, body_bytes) = (argument(1, 20_000), argument(2, 50), argument(3, 4096));
    let name = format!("proposebench-{}", std::process::id());
    let data = std::env::args().nth(4).map_or_else(std::env::temp_dir, PathBuf::from).join(name);
    let store = Store::open(Options {
        data: data.clone(),
        decode: Arc::new(cluster::decode_record),
        progress: Box::new(|_, _| ()),
        block_cache_bytes: None,
    })
    .unwrap();
    let started = Instant::now();
    let node = Cluster::start(StartOptions::alone(store, "bench")).await.unwrap();
    println!("started in {:?}", started.elapsed());
    for account in 1..=ACCOUNTS {
        let address = format!("user{account}@example.org");
        let command = MailboxCommand::CreateAccount { account: AccountId(account), address };
        node.propose(shard(account), operation(u64::MAX - account), Command::Mailbox(command)).await.unwrap();
    }
    idle(Duration::from_secs(5)).await;
    deliver(&node, messages, proposers, body_bytes).await;
    reads(&node).await;
    let started = Instant::now();
    node.shutdown().await;
    println!("stopped in {:?}", started.elapsed());
    println!("left behind: {}", data.display());
}

fn shard(account: u64) -> GroupId {
    GroupId(1 + (account % u64::from(model::limits::SHARDS)) as u32)
}

fn operation(number: u64) -> OperationId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    OperationId::new(1, random)
}

/// What 33 groups cost when nobody wants anything.
async fn idle(time: Duration) {
    let before = cpu();
    tokio::time::sleep(time).await;
    println!("idle: {:.2} % of one core", 100.0 * (cpu() - before).as_secs_f64() / time.as_secs_f64());
}

async fn deliver(node: &Cluster, messages: u64, proposers: u64, body_bytes: u64) {
    let (next, store_before, metrics_before) = (Arc::new(AtomicU64::new(0)), node.store().metrics(), node.metrics());
    let (written_before, cpu_before, started) = (written(), cpu(), Instant::now());
    let tasks: Vec<_> = (0..proposers)
        .map(|_| {
            let (node, next) = (node.clone(), next.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= messages {
                        return latencies;
                    }
                    let began = Instant::now();
                    let (group, command) = delivery(number, body_bytes);
                    node.propose(group, operation(number), command).await.unwrap();
                    latencies.push(began.elapsed());
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let (took, cpu_spent) = (started.elapsed(), cpu() - cpu_before);
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let (store, metrics) = (node.store().metrics(), node.metrics());
    println!("{messages} deliveries of {body_bytes} bytes by {proposers} proposers in {took:?}");
    println!(
        "  {:.0} per second, {:?} processor time each",
        messages as f64 / took.as_secs_f64(),
        cpu_spent / messages as u32
    );
    println!("  latency p50 {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0));
    println!("  {:.3} syncs per message", (store.syncs - store_before.syncs) as f64 / messages as f64);
    println!(
        "  {:.2} bytes written per byte of mail",
        (written() - written_before) as f64 / (messages * body_bytes) as f64
    );
    let batches = (metrics.applied_batches - metrics_before.applied_batches) as f64;
    println!("  {:.2} entries per apply", (metrics.applied_entries - metrics_before.applied_entries) as f64 / batches);
    let logs: u64 = node.status().groups.iter().map(|group| group.log_bytes).sum();
    let snapshots = metrics.snapshots - metrics_before.snapshots;
    println!("  {snapshots} snapshots, {:.1} MB in the logs at the end", logs as f64 / 1e6);
}

fn delivery(number: u64, body_bytes: u64) -> (GroupId, Command) {
    let account = 1 + number % ACCOUNTS;
    let mut bytes = format!("Subject: message {number}\r\n\r\n").into_bytes();
    bytes.resize(body_bytes as usize, b'x');
    let hash = BodyHash(*blake3::hash(&bytes).as_bytes());
    let body = BodyRef { hash, size: body_bytes, inline: Some(Bytes::from(bytes)) };
    let recipients = vec![LocalRecipient { account: AccountId(account), folder: None }];
    let command = MailboxCommand::Deliver { message: operation(number), body, recipients };
    (shard(account), Command::Mailbox(command))
}

async fn reads(node: &Cluster) {
    let (count, started) = (100_000, Instant::now());
    for number in 0..count {
        drop(node.read(shard(number)).await.unwrap());
    }
    println!("read with barrier: {:?} each", started.elapsed() / count as u32);
}

/// Processor time of this process, user and system.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux platform this runs on.
    Duration::from_millis(ticks * 10)
}

/// Bytes this process caused to be written to the disk.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}
