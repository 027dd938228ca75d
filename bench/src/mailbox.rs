//! One large mailbox: filling it, and how long clients wait for it.

use crate::target::{Target, message};
use clap::Args;
use clients::imap::Imap;
use serde_json::{Map, Value, json};
use std::time::Instant;

#[derive(Args)]
pub struct FillOptions {
    /// Messages.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Bytes of each.
    #[arg(long, default_value_t = 1_500)]
    size: usize,
}

pub fn fill(target: &Target, options: &FillOptions) -> anyhow::Result<Value> {
    let mut imap = target.imap(0)?;
    // It may be there from an earlier run.
    let _ = imap.command("CREATE large")?;
    let start = Instant::now();
    // Several in one command: Dovecot reads the whole Maildir again for each command.
    const TOGETHER: u64 = 250;
    for first in (0..options.messages).step_by(TOGETHER as usize) {
        let mut command = String::from("APPEND large");
        for id in first..(first + TOGETHER).min(options.messages) {
            let text = String::from_utf8(message(id, options.size))?;
            command += &format!(" () {{{}+}}\r\n{text}", text.len());
        }
        imap.ok(&command)?;
    }
    Ok(json!({ "workload": "fill", "messages": options.messages,
        "per_s": options.messages as f64 / start.elapsed().as_secs_f64() }))
}

#[derive(Args)]
pub struct Options {
    /// Times each command is run; the median is told.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let mut imap = target.imap(0)?;
    let mut figures = Map::new();
    figures.insert("workload".into(), "mailbox".into());
    for (name, command) in [
        ("select_ms", "SELECT large"),
        ("fetch_flags_ms", "FETCH 1:* (FLAGS)"),
        ("fetch_envelope_ms", "FETCH 1:* (ENVELOPE)"),
        ("search_subject_ms", "SEARCH SUBJECT \"topic77\""),
    ] {
        // Once to warm what the server keeps.
        timed(&mut imap, command)?;
        let mut times = Vec::new();
        for _ in 0..options.runs {
            if command.starts_with("SELECT") {
                imap.ok("CLOSE")?;
            }
            times.push(timed(&mut imap, command)?);
        }
        times.sort_by(f64::total_cmp);
        figures.insert(name.into(), json!(times[times.len() / 2]));
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
