//! Measures the log writer on this machine: messages and syncs per second, bytes written per message byte.
//!
//! `cargo run --release -p storage --example logbench -- DIR [seconds]`. Prints one line per write-ahead log, message
//! size and number of concurrent appenders; what it prints is kept in `docs/decisions/2026-11-22-log-storage.md`.

use bytes::Bytes;
use model::{BodyHash, GroupId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use storage::rows::WalKind;
use storage::{LogRecord, Options, Store};

const GROUPS: u32 = 32;
/// Log bytes a group keeps before it purges half of them: all groups together fit the log's write buffer.
const KEPT_BYTES: u64 = 2 * 1024 * 1024;

/// Long enough for log files to be used up, so that there are some to write over.
const WARM_SECONDS: u64 = 3;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("usage: logbench DIR [seconds]");
        std::process::exit(2);
    };
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    println!(
        "{:<9} {:>7} {:>6} {:>9} {:>9} {:>10} {:>11} {:>10}",
        "wal", "bytes", "calls", "msg/s", "syncs/s", "syncs/msg", "written/B", "cpu us/msg"
    );
    for size in [4 * 1024, 50 * 1024] {
        for appenders in [1, 8, 50] {
            // Side by side, because the machine is shared.
            for wal in [WalKind::Growing, WalKind::Recycled] {
                let data = Path::new(&directory).join("logbench");
                let _ = std::fs::remove_dir_all(&data);
                run(&data, wal, size, appenders, Duration::from_secs(seconds));
                let _ = std::fs::remove_dir_all(&data);
            }
        }
    }
}

fn run(data: &Path, wal: WalKind, size: usize, appenders: u32, time: Duration) {
    let options = Options {
        data: data.to_path_buf(),
        decode: Arc::new(|_| Ok(None)),
        progress: Box::new(|_, _| ()),
        block_cache_bytes: None,
    };
    let store = match Store::open_with_wal(options, wal) {
        Ok(store) => store,
        Err(error) => return eprintln!("the store does not open: {error}"),
    };
    // The recycled log has files to write over only once some are used up.
    append_for(&store, 50 * 1024, 50, Duration::from_secs(WARM_SECONDS));
    let before = (store.metrics(), written(), processor());
    let started = Instant::now();
    let messages = append_for(&store, size, appenders, time);
    let seconds = started.elapsed().as_secs_f64();
    let after = (store.metrics(), written(), processor());
    let syncs = after.0.syncs - before.0.syncs;
    println!(
        "{:<9} {size:>7} {appenders:>6} {:>9.0} {:>9.0} {:>10.3} {:>11.2} {:>10.1}",
        format!("{wal:?}"),
        messages as f64 / seconds,
        syncs as f64 / seconds,
        syncs as f64 / messages as f64,
        (after.1 - before.1) as f64 / (messages as f64 * size as f64),
        (after.2 - before.2) * 1e6 / messages as f64,
    );
    if let Err(error) = store.close() {
        eprintln!("closing: {error}");
    }
}

/// Each appender waits for its record before it appends the next; groups are shared out among them.
fn append_for(store: &Store, size: usize, appenders: u32, time: Duration) -> u64 {
    let count = AtomicU64::new(0);
    let noise = noise(size);
    let groups: Vec<_> = (1..=GROUPS).map(|group| parking_lot::Mutex::new(store.log(GroupId(group)).ok())).collect();
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for appender in 0..appenders {
            let (count, groups, noise) = (&count, &groups, &noise);
            scope.spawn(move || {
                while Instant::now() < end {
                    let (sender, receiver) = channel();
                    {
                        let Some(slot) = groups.get((appender % GROUPS) as usize) else { return };
                        let log = slot.lock();
                        let Some(log) = log.as_ref() else { return };
                        let index = log.last_index().max(log.purged_index()).map_or(0, |last| last + 1);
                        let record = LogRecord { index, bytes: noise.clone(), bodies: Vec::<BodyHash>::new() };
                        log.append(
                            vec![record],
                            Box::new(move |result| {
                                let _ = sender.send(result.is_ok());
                            }),
                        );
                        let kept = log.size();
                        if kept.bytes > KEPT_BYTES {
                            log.purge_unchecked(index - kept.entries / 2, Bytes::from_static(b"position"));
                        }
                    }
                    if receiver.recv() == Ok(true) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    count.into_inner()
}

/// Bytes that do not compress.
fn noise(size: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

/// Bytes this process caused to be written to the disk.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Processor time of this process, in seconds.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|number| number.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}
