//! Messages in by IMAP APPEND from many connections at once.

use crate::process;
use crate::target::{Target, message};
use clap::Args;
use clients::imap::Imap;
use serde_json::{Value, json};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Connections at once, each to its own user.
    #[arg(long, default_value_t = 20)]
    connections: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Messages before those that are timed: a server that was just started is no measure.
    #[arg(long, default_value_t = 2_000)]
    warm: u64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let mut sessions = (0..options.connections).map(|user| target.imap(user)).collect::<io::Result<Vec<_>>>()?;
    append(&mut sessions, 0..options.warm, options.size)?;
    let cpu = process::cpu_seconds(&target.pid);
    let start = Instant::now();
    append(&mut sessions, options.warm..options.warm + options.messages, options.size)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = process::cpu_seconds(&target.pid) - cpu;
    Ok(json!({
        "workload": "append", "messages": options.messages, "size": options.size, "connections": options.connections,
        "appended_per_s": options.messages as f64 / seconds,
        "server_cpu_ms_per_message": cpu * 1000.0 / options.messages as f64,
    }))
}

/// Appends the messages of these numbers, shared out among the sessions.
fn append(sessions: &mut [Imap], numbers: Range<u64>, size: usize) -> io::Result<()> {
    let next = AtomicU64::new(numbers.start);
    let end = numbers.end;
    thread::scope(|scope| {
        let start = |imap| scope.spawn(|| session(imap, &next, end, size));
        let workers: Vec<_> = sessions.iter_mut().map(start).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| io::Error::other("a session panicked"))?)
    })
}

fn session(imap: &mut Imap, next: &AtomicU64, end: u64, size: usize) -> io::Result<()> {
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= end {
            return Ok(());
        }
        let answer = imap.append("Archive", "\\Seen", &message(id, size))?;
        if !answer.status.starts_with("OK") {
            return Err(io::Error::other(answer.status));
        }
    }
}
