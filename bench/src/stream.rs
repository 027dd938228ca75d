//! One large message in by SMTP and out by IMAP, while the server's memory is watched.

use crate::process;
use crate::target::{Target, message};
use clap::Args;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Options {
    /// Bytes of the message.
    #[arg(long, default_value_t = 50_000_000)]
    size: usize,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let mut imap = target.imap(0)?;
    let had = imap.ok("SELECT INBOX")?.exists().unwrap_or(0);
    // A small one first, so that what the first message loads does not count.
    target.smtp()?.deliver("s@elsewhere.test", &[&target.user(0)], &message(1, 4096))?.expect(250)?;
    let text = message(2, options.size);
    let before = process::memory_kb(&target.pid);
    let (peak, stop) = (AtomicU64::new(before), AtomicBool::new(false));
    let (mut in_s, mut out_s) = (0.0, 0.0);
    let mut returned = 0;
    thread::scope(|scope| -> anyhow::Result<()> {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(process::memory_kb(&target.pid), Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(5));
            }
        });
        let mut work = || -> anyhow::Result<()> {
            let start = Instant::now();
            target.smtp()?.deliver("s@elsewhere.test", &[&target.user(0)], &text)?.expect(250)?;
            in_s = start.elapsed().as_secs_f64();
            // A server may deliver behind its 250, and no message may be asked for before the server has told of it
            // (RFC 9051 section 7.4.1).
            while imap.ok("NOOP")?.exists().is_none_or(|exists| exists < had + 2) {}
            let start = Instant::now();
            let answer = imap.ok("FETCH * (BODY.PEEK[])")?;
            out_s = start.elapsed().as_secs_f64();
            returned = answer.untagged.iter().map(Vec::len).max().unwrap_or(0);
            Ok(())
        };
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    anyhow::ensure!(returned > options.size, "only {returned} bytes came back");
    let raised = peak.into_inner() - before;
    Ok(json!({ "workload": "stream", "size": options.size, "memory_raised_kb": raised, "in_s": in_s, "out_s": out_s }))
}
