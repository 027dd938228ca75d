//! `jepsen`: fault injection on real nodes, in the manner of Jepsen. Speaks SMTP, IMAP and the CLI, knows nothing of the
//! node's inside. Exit codes: 0 valid, 1 a violation, 2 the harness failed or the run proves nothing, 77 cannot run here.
#![forbid(unsafe_code)]

mod check;
mod client;
mod history;
mod limits;
mod nemesis;
mod report;
mod run;
mod workload;
mod world;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use report::Ended;
use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;
use world::Options;

/// Cannot run here, as the exit code of a skipped test.
const SKIPPED: u8 = 77;

#[derive(Parser)]
#[command(about = "Fault injection on real mailnode processes")]
struct Arguments {
    #[command(subcommand)]
    command: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Runs workloads under faults and judges what clients saw
    Run(RunArguments),
    /// Says which workloads and faults there are
    List,
    /// A door into a network namespace (used by the harness itself)
    #[command(hide = true)]
    Gate { doors: Vec<String> },
    /// Holds packets back (used by the harness itself)
    #[command(hide = true)]
    Hold { delay_ms: u64, jitter_ms: u64, seed: u64 },
}

#[derive(clap::Args)]
struct RunArguments {
    /// set, flags, uids, bank, queue, directory, copies or all (all but copies); may be repeated or parted by commas
    #[arg(long, default_value = "all", value_delimiter = ',')]
    workload: Vec<String>,
    /// A kind of fault, a group of them such as kill or partition, all, or none
    #[arg(long, default_value = "all", value_delimiter = ',')]
    nemesis: Vec<String>,
    /// Kinds to leave out
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// How long clients work
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Decides the schedule and every choice
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many nodes
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Clients per workload
    #[arg(long, default_value_t = 3)]
    clients: usize,
    /// Operations per second of each client, at most
    #[arg(long, default_value_t = 8.0)]
    rate: f64,
    /// Where history, report and logs go
    #[arg(long, default_value = "jepsen-store")]
    store: PathBuf,
    /// Leave the data directories under /tmp
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Order::Run(arguments) => go(&arguments),
        Order::List => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        Order::Gate { doors } => world::gate::serve(&doors).map(|()| ExitCode::SUCCESS),
        Order::Hold { delay_ms, jitter_ms, seed } => {
            let [delay, jitter] = [delay_ms, jitter_ms].map(Duration::from_millis);
            world::hold::serve(delay, jitter, seed).map(|()| ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("jepsen: {error:#}");
        ExitCode::from(2)
    })
}

fn list() {
    println!("workloads: {}", workload::NAMES.join(", "));
    for (kind, what) in nemesis::KINDS {
        println!("{kind:<20} {what}");
    }
}

fn go(arguments: &RunArguments) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("\n!!! SKIPPED: the nodes get network namespaces and disks of their own, which needs root\n");
        return Ok(ExitCode::from(SKIPPED));
    }
    let without = nemesis::chosen(&arguments.without)?;
    let mut kinds = nemesis::chosen(&arguments.nemesis)?;
    kinds.retain(|kind| !without.contains(kind));
    if kinds.contains(&"clock") && world::node::faketime().is_none() {
        eprintln!("!!! clocks are left alone: libfaketime is not installed");
        kinds.retain(|kind| *kind != "clock");
    }
    let all = arguments.workload.iter().any(|name| name == "all");
    let workloads = if all { workload::ALL.map(str::to_owned).into() } else { arguments.workload.clone() };
    let plan = run::Plan {
        world: Options {
            binary: binary()?,
            nodes: arguments.nodes.max(1),
            disks: kinds.contains(&"disk-full"),
            clocks: kinds.contains(&"clock"),
            store: arguments.store.clone(),
            keep: arguments.keep,
        },
        workloads,
        kinds,
        length: Duration::from_secs_f64(arguments.minutes.clamp(0.1, 600.0) * 60.0),
        seed: arguments.seed,
        clients: arguments.clients.max(1),
        rate: arguments.rate.clamp(0.1, 1000.0),
        command: env::args().collect::<Vec<_>>().join(" "),
    };
    let report = run::run(&plan)?;
    println!("{}", report.text());
    println!("{}", plan.world.store.join("report.html").display());
    Ok(match report.ended() {
        Ended::Valid => ExitCode::SUCCESS,
        Ended::Violated => ExitCode::from(1),
        Ended::Rejected => ExitCode::from(2),
    })
}

/// The node's binary: `MAILNODE_BINARY`, else built now.
fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("MAILNODE_BINARY") {
        return PathBuf::from(path).canonicalize().context("MAILNODE_BINARY");
    }
    let own = env::current_exe()?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "--release", "-p", "node", "--bin", "mailnode"]).status();
    anyhow::ensure!(built?.success(), "the binary does not build");
    own.with_file_name("mailnode").canonicalize().context("the binary was built elsewhere: set MAILNODE_BINARY")
}
