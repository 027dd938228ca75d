//! How long clients of a shard wait when its leader is killed under load:
//! `cargo run --release -p tests --bin failover -- [KILLS] [SEED]`. Each kill prints a line, the last lines say how it went.
//! With a seed the victim is any node, and the moment any within a second, as that draws them.
//!
//! From the SIGKILL until a message sent after it is acknowledged by a surviving node, and until a mailbox is read there.
#![forbid(unsafe_code)]

use clients::imap::Imap;
use clients::smtp::Smtp;
use std::env;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tests::cluster::{Cluster, PASSWORD, Shape};
use tests::kills::{Extent, History, Load, Users, verify};
use tests::sim::random::Random;

/// Whose shard is watched. No client of the load writes to it.
const USER: &str = "watched@example.org";

/// What nobody waits for.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> io::Result<ExitCode> {
    let number = |at| env::args().nth(at).map(|text| text.parse::<u64>().map_err(io::Error::other)).transpose();
    let (kills, mut random) = (number(1)?.unwrap_or(50), number(2)?.map(Random::new));
    let mut cluster = Cluster::first(Shape { relays: false });
    while cluster.size() < 3 {
        cluster.grow();
    }
    cluster.wait_whole();
    let users = Users { domain: "example.org".into(), password: PASSWORD.into(), count: 4 };
    (0..users.count).for_each(|user| cluster.add_account(&users.address(user)));
    cluster.add_account(USER);
    let history: Arc<History> = Arc::default();
    let nodes = (0..3).map(|node| cluster.endpoints(node)).collect();
    let load = Load::start(nodes, users.clone(), Arc::clone(&history));
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for kill in 1..=kills {
        let victim = match &mut random {
            None => cluster.leader_of(USER),
            Some(random) => {
                thread::park_timeout(Duration::from_millis(random.below(1_000)));
                random.below(3) as usize
            }
        };
        let (write, read) = one_kill(&mut cluster, victim, (victim + 1 + kill as usize % 2) % 3)?;
        println!("kill {kill}: {} down, write after {} ms, read after {} ms", cluster.name(victim), write, read);
        writes.push(write);
        reads.push(read);
        cluster.restart(victim);
        cluster.wait_whole();
    }
    load.stop();
    let wrong = verify(cluster.endpoints(0), &users, &history, Extent::All)?;
    wrong.iter().for_each(|wrong| println!("WRONG: {wrong}"));
    println!("{}", figures("writes", &mut writes));
    println!("{}", figures("reads", &mut reads));
    let acknowledged = history.with(|history| history.acknowledged.len());
    println!("{kills} kills, {acknowledged} messages acknowledged meanwhile, {} wrong", wrong.len());
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills `victim` and gives the milliseconds until `other` writes and reads.
fn one_kill(cluster: &mut Cluster, victim: usize, other: usize) -> io::Result<(u128, u128)> {
    // Both are connected before, as clients of a surviving node are.
    let mut smtp = cluster.smtp(other)?;
    let mut imap = cluster.imap(other, USER)?;
    imap.ok("SELECT INBOX")?;
    cluster.node(victim).signal(rustix::process::Signal::KILL);
    let killed = Instant::now();
    let (write, read) = thread::scope(|scope| {
        let write = scope.spawn(|| until(killed, || written(&mut smtp)));
        let read = until(killed, || read(&mut imap));
        (write.join(), read)
    });
    cluster.kill(victim);
    let write = write.map_err(|_| io::Error::other("the writer panicked"))??;
    Ok((write, read?))
}

/// Milliseconds from `since` until it works.
fn until(since: Instant, mut attempt: impl FnMut() -> io::Result<bool>) -> io::Result<u128> {
    while !attempt()? {
        if since.elapsed() > PATIENCE {
            return Err(io::Error::other("it did not come back"));
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    Ok(since.elapsed().as_millis())
}

fn written(smtp: &mut Smtp) -> io::Result<bool> {
    smtp.command("RSET")?;
    match smtp.deliver("bob@example.net", &[USER], b"Subject: probe\r\n\r\nx\r\n") {
        Ok(reply) => Ok(reply.code == 250),
        // Refused before the message: its text holds the reply.
        Err(error) if error.kind() == io::ErrorKind::Other => Ok(false),
        Err(error) => Err(error),
    }
}

/// A FETCH is answered from the session's snapshot; STATUS asks the shard.
fn read(imap: &mut Imap) -> io::Result<bool> {
    Ok(imap.command("STATUS INBOX (MESSAGES)")?.status.starts_with("OK"))
}

fn figures(what: &str, times: &mut [u128]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let show = |time: Option<&u128>| time.map_or("-".to_owned(), |time| format!("{time} ms"));
    format!("{what} again: median {}, 90 % {}, worst {}", show(at(50)), show(at(90)), show(times.last()))
}
