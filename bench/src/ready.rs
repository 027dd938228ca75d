//! How soon after its start a server serves: the first SELECT and the first delivery that succeed.

use crate::target::{Target, message};
use clap::Args;
use serde_json::{Value, json};
use std::io;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const RETRY_WAIT: Duration = Duration::from_millis(10);

#[derive(Args)]
pub struct Options {
    /// When the server was started, UTC seconds.
    #[arg(long)]
    since: f64,
    /// The folder of user 0 to select.
    #[arg(long, default_value = "large")]
    folder: String,
    /// Seconds after which it counts as failed.
    #[arg(long, default_value_t = 300.0)]
    patience: f64,
}

pub fn run(target: &Target, options: &Options) -> anyhow::Result<Value> {
    let select = || target.imap(0)?.ok(&format!("SELECT {}", options.folder)).map(drop);
    let deliver = || {
        let reply = target.smtp()?.deliver("sender@elsewhere.test", &[&target.user(0)], &message(0, 1_000))?;
        reply.expect(250).map(drop)
    };
    let (select, deliver) = thread::scope(|scope| {
        let selecting = scope.spawn(|| until_ok(options, select));
        let delivered = until_ok(options, deliver);
        (selecting.join().map_err(|_| io::Error::other("a session panicked")).flatten(), delivered)
    });
    Ok(json!({ "workload": "ready", "select_s": select?, "deliver_s": deliver? }))
}

/// Seconds from the server's start to the end of the first attempt that succeeds.
fn until_ok(options: &Options, attempt: impl Fn() -> io::Result<()>) -> io::Result<f64> {
    loop {
        let result = attempt();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let seconds = since_epoch.as_secs_f64() - options.since;
        match result {
            Ok(()) => return Ok(seconds),
            Err(error) if seconds > options.patience => return Err(error),
            Err(_) => thread::park_timeout(RETRY_WAIT),
        }
    }
}
