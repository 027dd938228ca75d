//! Messages in by SMTP from many sessions at once, until all are visible by IMAP.

use crate::process;
use crate::target::{Target, message};
use clap::Args;
use clients::imap::Imap;
use clients::smtp::Smtp;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Options {
    /// Sessions at once.
    #[arg(long, default_value_t = 50)]
    sessions: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
    /// Keep connections instead of opening one per message.
    #[arg(long)]
    reuse: bool,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let mut watchers: Vec<Imap> = (0..target.users).map(|user| target.imap(user)).collect::<io::Result<_>>()?;
    let before = target.visible(&mut watchers)?;
    let cpu = process::cpu_seconds(&target.pid);
    let start = Instant::now();
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.sessions).map(|_| scope.spawn(|| session(target, options, &next))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| io::Error::other("a session panicked"))?)
    })?;
    let accepted = start.elapsed();
    while target.visible(&mut watchers)? - before < options.messages {
        anyhow::ensure!(start.elapsed() < Duration::from_secs(600), "not all messages became visible");
        thread::park_timeout(Duration::from_millis(20));
    }
    let visible = start.elapsed();
    let cpu = process::cpu_seconds(&target.pid) - cpu;
    Ok(json!({
        "workload": if options.reuse { "smtp-reused" } else { "smtp-new" },
        "messages": options.messages, "size": options.size, "sessions": options.sessions,
        "accepted_per_s": options.messages as f64 / accepted.as_secs_f64(),
        "visible_per_s": options.messages as f64 / visible.as_secs_f64(),
        "server_cpu_ms_per_message": cpu * 1000.0 / options.messages as f64,
    }))
}

fn session(target: &Target, options: &Options, next: &AtomicU64) -> io::Result<()> {
    let mut open: Option<Smtp> = None;
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= options.messages {
            return Ok(());
        }
        let mut smtp = match open.take() {
            Some(smtp) => smtp,
            None => target.smtp()?,
        };
        let to = target.user(id as usize);
        smtp.deliver("sender@elsewhere.test", &[&to], &message(id, options.size))?.expect(250)?;
        if options.reuse {
            open = Some(smtp);
        } else {
            smtp.command("QUIT")?;
        }
    }
}
