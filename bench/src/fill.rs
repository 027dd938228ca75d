//! Fills mailboxes by MULTIAPPEND (RFC 3502), one folder of one user or the same folder of many.

use crate::target::{Target, message};
use clap::Args;
use clients::imap::Imap;
use serde_json::{Value, json};
use std::io;
use std::ops::Range;
use std::thread;
use std::time::Instant;

/// Messages in one command, because Dovecot reads the whole Maildir again for each command.
const TOGETHER: u64 = 250;

#[derive(Args)]
pub struct Options {
    /// Messages in all.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Bytes of each.
    #[arg(long, default_value_t = 1_500)]
    size: usize,
    /// The folder; created where it does not exist.
    #[arg(long, default_value = "large")]
    folder: String,
    /// The first user whose folder is filled.
    #[arg(long, default_value_t = 0)]
    user_from: usize,
    /// How many users from that one on; the messages are spread evenly.
    #[arg(long, default_value_t = 1)]
    users: usize,
    /// Commands at once.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// The number of the first message: another number, another text.
    #[arg(long, default_value_t = 0)]
    first: u64,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let (users, connections) = (options.users.max(1), options.connections.max(1));
    // One session per user, more if there are more connections than users; session `n` belongs to worker
    // `n % connections`.
    let mut workers: Vec<Vec<Imap>> = (0..connections).map(|_| Vec::new()).collect();
    for session in 0..users.max(connections) {
        let mut imap = target.imap(options.user_from + session % users)?;
        // Rejected if it exists from an earlier run.
        let _ = imap.command(&format!("CREATE {}", options.folder))?;
        workers[session % connections].push(imap);
    }
    let start = Instant::now();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (worker, sessions) in workers.iter_mut().enumerate() {
            running.push(scope.spawn(move || work(sessions, options, worker, connections)));
        }
        running.into_iter().try_for_each(|worker| worker.join().map_err(|_| io::Error::other("a worker panicked"))?)
    })?;
    Ok(json!({ "workload": "fill", "messages": options.messages, "size": options.size, "users": users,
        "connections": connections, "folder": options.folder,
        "per_s": options.messages as f64 / start.elapsed().as_secs_f64() }))
}

/// Sends every `connections`-th batch, through its sessions in turn.
fn work(sessions: &mut [Imap], options: &Options, worker: usize, connections: usize) -> io::Result<()> {
    let batches = (0..options.messages).step_by(TOGETHER as usize).skip(worker).step_by(connections);
    for (turn, first) in batches.enumerate() {
        let end = (first + TOGETHER).min(options.messages);
        let turn = turn % sessions.len();
        multiappend(&mut sessions[turn], options, options.first + first..options.first + end)?;
    }
    Ok(())
}

fn multiappend(imap: &mut Imap, options: &Options, numbers: Range<u64>) -> io::Result<()> {
    let mut command = format!("APPEND {}", options.folder);
    for id in numbers {
        let text = String::from_utf8(message(id, options.size)).map_err(io::Error::other)?;
        command += &format!(" () {{{}+}}\r\n", text.len());
        command += &text;
    }
    imap.ok(&command).map(drop)
}
