//! IDLE: how soon a new message is announced, and what an idle connection costs.

use crate::process;
use crate::stats::percentile_ms;
use crate::target::{Target, message};
use clap::Args;
use clients::imap::Imap;
use serde_json::{Value, json};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct LatencyOptions {
    /// Messages, one after another.
    #[arg(long, default_value_t = 200)]
    messages: u64,
}

pub fn latency(target: &Target, options: &LatencyOptions) -> anyhow::Result<Value> {
    let mut imap = target.imap(0)?;
    let mut smtp = target.smtp()?;
    imap.ok("SELECT INBOX")?;
    let tag = imap.start("IDLE")?;
    while !imap.response()?.starts_with(b"+") {}
    let mut times = Vec::new();
    for id in 0..options.messages {
        smtp.command("MAIL FROM:<sender@elsewhere.test>")?.expect(250)?;
        smtp.command(&format!("RCPT TO:<{}>", target.user(0)))?.expect(250)?;
        smtp.command("DATA")?.expect(354)?;
        smtp.send(&message(id, 4096))?;
        let sent = Instant::now();
        smtp.send(b"\r\n.\r\n")?;
        while !imap.response()?.ends_with(b" EXISTS") {}
        times.push(sent.elapsed());
        smtp.read()?.expect(250)?;
    }
    imap.send(b"DONE\r\n")?;
    imap.finish_with(&tag, drop)?;
    times.sort();
    let ms = |share| percentile_ms(&times, share);
    Ok(json!({ "workload": "idle-latency", "messages": options.messages,
        "p50_ms": ms(0.5), "p90_ms": ms(0.9), "p99_ms": ms(0.99), "max_ms": ms(1.0) }))
}

#[derive(Args)]
pub struct MemoryOptions {
    /// Connections.
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
}

pub fn memory(target: &Target, options: &MemoryOptions) -> anyhow::Result<Value> {
    // A few first, so that what the first connections load does not count as theirs.
    let mut open = idle_connections(target, 20)?;
    settle();
    let before = process::memory_kb(&target.pid);
    open.extend(idle_connections(target, options.connections)?);
    settle();
    let after = process::memory_kb(&target.pid);
    Ok(json!({ "workload": "idle-memory", "connections": options.connections,
        "kb_per_connection": (after as f64 - before as f64) / options.connections as f64 }))
}

#[derive(Args)]
pub struct RestOptions {
    /// How long to watch.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// What the processes cost while nobody uses them.
pub fn rest(target: &Target, options: &RestOptions) -> Value {
    settle();
    let (start, before) = (Instant::now(), process::cpu_seconds(&target.pid));
    thread::park_timeout(Duration::from_secs(options.seconds));
    let cpu = (process::cpu_seconds(&target.pid) - before) / start.elapsed().as_secs_f64();
    let processes = target.pid.len().max(1) as f64;
    json!({ "workload": "rest", "seconds": options.seconds, "processes": target.pid.len(),
        "core_percent_each": 100.0 * cpu / processes,
        "memory_mb_each": process::memory_kb(&target.pid) as f64 / 1024.0 / processes,
        "resident_mb_each": process::resident_kb(&target.pid) as f64 / 1024.0 / processes })
}

fn idle_connections(target: &Target, count: usize) -> io::Result<Vec<Imap>> {
    let open = |user| {
        let mut imap = target.imap(user)?;
        imap.ok("SELECT INBOX")?;
        imap.start("IDLE")?;
        while !imap.response()?.starts_with(b"+") {}
        Ok(imap)
    };
    (0..count).map(open).collect()
}

/// Lets allocators and background work come to rest before memory is read.
fn settle() {
    thread::park_timeout(Duration::from_secs(3));
}
