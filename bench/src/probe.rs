//! What other users notice: steady deliveries to one user and commands of that user while something else happens.

use crate::process;
use crate::stats::{percentile_ms, summary};
use crate::target::{Target, message};
use clap::Args;
use clients::imap::Imap;
use clients::smtp::Smtp;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a reply is waited for: RFC 5321 section 4.5.3.2.6 gives the end of DATA ten minutes.
const SILENCE: Duration = Duration::from_secs(600);
const MEMORY_LOOK_INTERVAL: Duration = Duration::from_millis(200);
const RECONNECT_WAIT: Duration = Duration::from_millis(50);
const LEAD_IN: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct Options {
    /// The user who receives and whose mailbox is used, as uN@DOMAIN; best one of the same shard as user 0.
    #[arg(long)]
    neighbour: String,
    /// SMTP sessions, each kept open.
    #[arg(long, default_value_t = 4)]
    sessions: usize,
    /// Milliseconds from one message of a session to its next, and from one IMAP command to the next.
    #[arg(long, default_value_t = 20)]
    every_ms: u64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 1_500)]
    size: usize,
}

#[derive(Args)]
pub struct AloneOptions {
    #[command(flatten)]
    probe: Options,
    /// Seconds to go on.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Goes on as long as this file exists instead.
    #[arg(long, value_name = "FILE")]
    r#while: Option<PathBuf>,
}

/// One request and how long its answer took.
#[derive(Clone, Copy)]
struct Sample {
    sent: Instant,
    took: Duration,
    /// From when it was due: a session that waits for an answer cannot send the messages due meanwhile, which would
    /// have waited too.
    took_from_due: Duration,
}

/// What one probing session found.
#[derive(Default)]
struct Found {
    deliveries: Vec<Sample>,
    stores: Vec<Sample>,
    noops: Vec<Sample>,
    /// When, and what came instead.
    refused: Vec<(Instant, String)>,
}

/// What the sessions share.
struct Shared<'a> {
    target: &'a Target,
    options: &'a Options,
    stop: AtomicBool,
    /// Sessions that have had one success.
    ready: AtomicUsize,
    next_id: AtomicU64,
    resident_kb_max: AtomicU64,
}

/// The probe with nothing beside it, or with whatever the caller does while a file exists.
pub fn alone(target: &Target, options: &AloneOptions) -> anyhow::Result<Value> {
    let wait = || match &options.r#while {
        Some(file) => {
            while file.exists() {
                thread::park_timeout(Duration::from_millis(20));
            }
        }
        None => thread::park_timeout(Duration::from_secs(options.seconds)),
    };
    let ((), mut figures) = beside(target, &options.probe, Duration::ZERO, wait)?;
    figures["workload"] = "probe".into();
    Ok(figures)
}

/// Runs `work` with the probe beside it, and the probe for `after` longer; returns what `work` did and the figures.
pub fn beside<T>(
    target: &Target,
    options: &Options,
    after: Duration,
    work: impl FnOnce() -> T,
) -> anyhow::Result<(T, Value)> {
    let shared = &Shared {
        target,
        options,
        stop: AtomicBool::new(false),
        ready: AtomicUsize::new(0),
        next_id: AtomicU64::new(0),
        resident_kb_max: AtomicU64::new(0),
    };
    let (result, found, times) = thread::scope(|scope| {
        let mut sessions: Vec<_> =
            (0..options.sessions).map(|number| scope.spawn(move || deliver_steadily(shared, number))).collect();
        sessions.push(scope.spawn(|| use_mailbox(shared)));
        scope.spawn(|| watch_memory(shared));
        let lead_in = Instant::now();
        while shared.ready.load(Ordering::Relaxed) <= options.sessions && lead_in.elapsed() < LEAD_IN {
            thread::park_timeout(Duration::from_millis(10));
        }
        let cpu = process::cpu_seconds(&target.pid);
        let start = Instant::now();
        let result = work();
        let end = Instant::now();
        let cpu = process::cpu_seconds(&target.pid) - cpu;
        thread::park_timeout(after);
        shared.stop.store(true, Ordering::Relaxed);
        let found: Vec<_> = sessions.into_iter().map(|session| session.join().unwrap_or_default()).collect();
        (result, found, (start, end, cpu))
    });
    Ok((result, figures(shared, found, times)))
}

fn figures(shared: &Shared<'_>, found: Vec<Found>, (start, end, cpu): (Instant, Instant, f64)) -> Value {
    let mut all = Found::default();
    for mut one in found {
        all.deliveries.append(&mut one.deliveries);
        all.stores.append(&mut one.stores);
        all.noops.append(&mut one.noops);
        all.refused.append(&mut one.refused);
    }
    all.refused.retain(|(when, _)| *when >= start);
    let took = |samples: &[Sample], during: bool| {
        let within = |sample: &&Sample| sample.sent >= start && (sample.sent <= end) == during;
        summary(samples.iter().filter(within).map(|sample| sample.took).collect())
    };
    let mut from_due: Vec<_> =
        all.deliveries.iter().filter(|one| one.sent >= start).map(|one| one.took_from_due).collect();
    from_due.sort();
    json!({
        "seconds": (end - start).as_secs_f64(),
        "server_cpu_s": cpu,
        "resident_mb_max": shared.resident_kb_max.load(Ordering::Relaxed) as f64 / 1024.0,
        "refused": all.refused.len(),
        "first_refusal": all.refused.iter().min_by_key(|(when, _)| *when).map(|(_, text)| text),
        "delivery_ms": took(&all.deliveries, true),
        "delivery_after_ms": took(&all.deliveries, false),
        "delivery_from_due_p99_ms": percentile_ms(&from_due, 0.99),
        "store_ms": took(&all.stores, true),
        "store_after_ms": took(&all.stores, false),
        "noop_ms": took(&all.noops, true),
        "noop_after_ms": took(&all.noops, false),
    })
}

/// One message every `every_ms`; after a wait the messages that became due meanwhile follow at once.
fn deliver_steadily(shared: &Shared<'_>, number: usize) -> Found {
    let mut found = Found::default();
    let mut open = None;
    let every = Duration::from_millis(shared.options.every_ms);
    // Sessions take turns within the interval.
    let mut due = Instant::now() + every * number as u32 / shared.options.sessions.max(1) as u32;
    while !shared.stop.load(Ordering::Relaxed) {
        wait_until(due);
        match deliver(shared, &mut open) {
            Ok((sent, took)) => {
                if found.deliveries.is_empty() {
                    shared.ready.fetch_add(1, Ordering::Relaxed);
                }
                found.deliveries.push(Sample { sent, took, took_from_due: due.elapsed() });
            }
            Err(error) => {
                open = None;
                found.refused.push((Instant::now(), format!("SMTP: {error}")));
                thread::park_timeout(RECONNECT_WAIT);
            }
        }
        due += every;
    }
    found
}

/// When the end of DATA was sent and how long its 250 took.
fn deliver(shared: &Shared<'_>, open: &mut Option<Smtp>) -> io::Result<(Instant, Duration)> {
    let smtp = match open {
        Some(smtp) => smtp,
        none => none.insert(shared.target.smtp_patiently(SILENCE)?),
    };
    smtp.command("MAIL FROM:<probe@elsewhere.test>")?.expect(250)?;
    smtp.command(&format!("RCPT TO:<{}>", shared.options.neighbour))?.expect(250)?;
    smtp.command("DATA")?.expect(354)?;
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    smtp.send(&message(id, shared.options.size))?;
    let sent = Instant::now();
    smtp.send(b"\r\n.\r\n")?;
    smtp.read()?.expect(250)?;
    Ok((sent, sent.elapsed()))
}

/// STORE and NOOP in turn on the neighbour's INBOX.
fn use_mailbox(shared: &Shared<'_>) -> Found {
    let mut found = Found::default();
    let mut open: Option<Imap> = None;
    let mut due = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        wait_until(due);
        due = due.max(Instant::now()) + Duration::from_millis(shared.options.every_ms);
        if let Err(error) = use_once(shared, &mut open, &mut found) {
            open = None;
            // Until the first delivery there is no message to set a flag on.
            found.refused.push((Instant::now(), format!("IMAP: {error}")));
            thread::park_timeout(RECONNECT_WAIT);
        }
    }
    found
}

fn use_once(shared: &Shared<'_>, open: &mut Option<Imap>, found: &mut Found) -> io::Result<()> {
    let imap = match open {
        Some(imap) => imap,
        none => {
            let mut imap = shared.target.imap_of(&shared.options.neighbour, 0, SILENCE)?;
            imap.ok("SELECT INBOX")?;
            none.insert(imap)
        }
    };
    let sign = if found.stores.len().is_multiple_of(2) { '+' } else { '-' };
    for command in [format!("STORE 1 {sign}FLAGS (\\Flagged)"), "NOOP".to_owned()] {
        let sent = Instant::now();
        imap.ok(&command)?;
        let took = sent.elapsed();
        let samples = if command == "NOOP" { &mut found.noops } else { &mut found.stores };
        samples.push(Sample { sent, took, took_from_due: took });
    }
    if found.noops.len() == 1 {
        shared.ready.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn watch_memory(shared: &Shared<'_>) {
    while !shared.stop.load(Ordering::Relaxed) {
        shared.resident_kb_max.fetch_max(process::resident_kb(&shared.target.pid), Ordering::Relaxed);
        thread::park_timeout(MEMORY_LOOK_INTERVAL);
    }
}

fn wait_until(due: Instant) {
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
