//! Messages in by IMAP APPEND from many connections at once.

use crate::process;
use crate::target::{Target, message};
use clap::Args;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;
use tests::client::imap::Imap;

#[derive(Args)]
pub struct Options {
    /// Connections at once, each to its own user.
    #[arg(long, default_value_t = 20)]
    connections: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let cpu = process::cpu_seconds(&target.pid);
    let next = AtomicU64::new(0);
    let sessions = (0..options.connections).map(|user| target.imap(user)).collect::<io::Result<Vec<_>>>()?;
    let start = Instant::now();
    thread::scope(|scope| {
        let start = |imap| scope.spawn(|| session(imap, options, &next));
        let workers: Vec<_> = sessions.into_iter().map(start).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| io::Error::other("a session panicked"))?)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = process::cpu_seconds(&target.pid) - cpu;
    Ok(json!({
        "workload": "append", "messages": options.messages, "size": options.size, "connections": options.connections,
        "appended_per_s": options.messages as f64 / seconds,
        "server_cpu_ms_per_message": cpu * 1000.0 / options.messages as f64,
    }))
}

fn session(mut imap: Imap, options: &Options, next: &AtomicU64) -> io::Result<()> {
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= options.messages {
            return Ok(());
        }
        let answer = imap.append("Archive", "\\Seen", &message(id, options.size))?;
        if !answer.status.starts_with("OK") {
            return Err(io::Error::other(answer.status));
        }
    }
}
