//! One command of user 0 on many messages, with the probe of another user beside it.

use crate::probe;
use crate::target::Target;
use clap::{Args, ValueEnum};
use clients::imap::Imap;
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};

/// How long the command may take without a response.
const SILENCE: Duration = Duration::from_secs(3_600);

/// In the order in which they find what they need.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Command {
    /// Flags on every message of the folder.
    Store,
    /// The same flags taken away.
    Unstore,
    /// From the folder to `copied`.
    Copy,
    /// All of `copied` to `moved`.
    Move,
    /// \Deleted on all of `moved`.
    Mark,
    /// EXPUNGE of all of `moved`.
    Expunge,
    /// From the folder to `doomed`.
    CopyAgain,
    /// DELETE of `doomed`.
    Delete,
}

#[derive(Args)]
pub struct Options {
    #[arg(value_enum)]
    command: Command,
    /// The folder of user 0 that was filled.
    #[arg(long, default_value = "large")]
    folder: String,
    /// Messages that are copied, and so moved, expunged and deleted.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Seconds of probing after the command, because work may follow its response.
    #[arg(long, default_value_t = 3)]
    after: u64,
    #[command(flatten)]
    probe: probe::Options,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let mut imap = target.imap_of(&target.user(0), 1, SILENCE)?;
    let (command, messages) = prepare(&mut imap, options)?;
    let work = || -> io::Result<(String, f64)> {
        let start = Instant::now();
        let tag = imap.start(&command)?;
        let status = imap.finish_with(&tag, drop)?;
        Ok((status, start.elapsed().as_secs_f64()))
    };
    let (result, mut figures) = probe::beside(target, &options.probe, Duration::from_secs(options.after), work)?;
    let (status, seconds) = result?;
    figures["workload"] = "large".into();
    figures["command"] = options.command.to_possible_value().map_or(Value::Null, |value| value.get_name().into());
    figures["messages"] = messages.into();
    figures["succeeded"] = status.starts_with("OK").into();
    figures["status"] = status.into();
    figures["seconds"] = json!(seconds);
    figures["server_cpu_us_per_message"] =
        json!(figures["server_cpu_s"].as_f64().unwrap_or(0.0) * 1e6 / messages.max(1) as f64);
    Ok(figures)
}

/// Selects what the command needs; returns the command and how many messages it is about.
fn prepare(imap: &mut Imap, options: &Options) -> anyhow::Result<(String, u64)> {
    let Options { folder, messages, .. } = options;
    let select = |imap: &mut Imap, name: &str| -> anyhow::Result<u64> {
        Ok(imap.ok(&format!("SELECT {name}"))?.exists().unwrap_or(0))
    };
    // What an earlier run left is not wanted.
    let create = |imap: &mut Imap, name: &str| -> anyhow::Result<()> {
        imap.command(&format!("DELETE {name}"))?;
        imap.ok(&format!("CREATE {name}"))?;
        Ok(())
    };
    Ok(match options.command {
        Command::Store => ("STORE 1:* +FLAGS (\\Flagged)".to_owned(), select(imap, folder)?),
        Command::Unstore => ("STORE 1:* -FLAGS (\\Flagged)".to_owned(), select(imap, folder)?),
        Command::Copy | Command::CopyAgain => {
            let to = if matches!(options.command, Command::Copy) { "copied" } else { "doomed" };
            create(imap, to)?;
            let count = select(imap, folder)?.min(*messages);
            anyhow::ensure!(count > 0, "{folder} is empty");
            (format!("COPY 1:{count} {to}"), count)
        }
        Command::Move => {
            create(imap, "moved")?;
            ("MOVE 1:* moved".to_owned(), select(imap, "copied")?)
        }
        Command::Mark => ("STORE 1:* +FLAGS.SILENT (\\Deleted)".to_owned(), select(imap, "moved")?),
        Command::Expunge => ("EXPUNGE".to_owned(), select(imap, "moved")?),
        Command::Delete => {
            let count = imap.ok("STATUS doomed (MESSAGES)")?.number_after("MESSAGES").unwrap_or(0);
            ("DELETE doomed".to_owned(), count)
        }
    })
}
