//! One large mailbox: how long clients wait for it, and what it costs the server.

use crate::process;
use crate::stats::median;
use crate::target::Target;
use clap::Args;
use clients::imap::Imap;
use serde_json::{Map, Value, json};
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Times each command is run; the median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The folder of user 0.
    #[arg(long, default_value = "large")]
    folder: String,
    /// Messages of one STORE.
    #[arg(long, default_value_t = 1_000)]
    store: u64,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let mut imap = target.imap(0)?;
    let folder = &options.folder;
    let select = format!("SELECT {folder}");
    let held = imap.ok(&select)?.exists().unwrap_or(0);
    let stored = options.store.min(held);
    let mut figures = Map::new();
    figures.insert("workload".into(), "mailbox".into());
    figures.insert("folder_messages".into(), held.into());
    figures.insert("stored".into(), stored.into());
    for (name, command, messages) in [
        ("select", select.as_str(), 1),
        ("fetch_flags", "FETCH 1:* (FLAGS)", held),
        ("fetch_envelope", "FETCH 1:* (ENVELOPE)", held),
        ("search_subject", "SEARCH SUBJECT \"topic77\"", held),
        ("store", "STORE", stored),
    ] {
        let (mut times, mut cpu) = (Vec::new(), 0.0);
        // The first one warms what the server keeps.
        for run in 0..=options.runs {
            let command = match command {
                "STORE" => format!("STORE 1:{stored} {}FLAGS (\\Flagged)", if run % 2 == 0 { '+' } else { '-' }),
                other => other.to_owned(),
            };
            if command == select {
                imap.ok("CLOSE")?;
            }
            let before = process::cpu_seconds(&target.pid);
            let took_ms = timed(&mut imap, &command)?;
            if run > 0 {
                times.push(took_ms);
                cpu += process::cpu_seconds(&target.pid) - before;
            }
        }
        figures.insert(format!("{name}_ms"), json!(median(times)));
        let commands = options.runs.max(1) as f64;
        figures.insert(format!("{name}_cpu_ms"), json!(cpu * 1000.0 / commands));
        figures.insert(format!("{name}_cpu_us_per_message"), json!(cpu * 1e6 / commands / messages.max(1) as f64));
    }
    Ok(Value::Object(figures))
}

fn timed(imap: &mut Imap, command: &str) -> anyhow::Result<f64> {
    let start = Instant::now();
    let tag = imap.start(command)?;
    let status = imap.finish_with(&tag, drop)?;
    anyhow::ensure!(status.starts_with("OK"), "{command}: {status}");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}
