//! Load and timings over SMTP and IMAP against any server, printed as one JSON line per workload.
//!
//! `run.sh` starts mailnode and Postfix + Dovecot on this machine and compares them in one run; `growth.sh` measures
//! mailnode with more and more messages.
#![forbid(unsafe_code)]

mod append;
mod fill;
mod idle;
mod large;
mod mailbox;
mod probe;
mod process;
mod ready;
mod smtp;
mod stats;
mod stream;
mod target;

use clap::{Parser, Subcommand};
use target::Target;

#[derive(Parser)]
#[command(about = "Load and timings against a mail server")]
struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Subcommand)]
enum Workload {
    /// Messages in by SMTP until all are visible by IMAP.
    Smtp(smtp::Options),
    /// Messages in by IMAP APPEND.
    Append(append::Options),
    /// From the end of DATA to EXISTS in IDLE.
    IdleLatency(idle::LatencyOptions),
    /// Memory of idle IMAP connections.
    IdleMemory(idle::MemoryOptions),
    /// CPU time and memory while nothing happens.
    Rest(idle::RestOptions),
    /// Fills one mailbox, or one of each of many users.
    Fill(fill::Options),
    /// SELECT, FETCH, SEARCH and STORE on a large mailbox.
    Mailbox(mailbox::Options),
    /// One command on very many messages, and what another user notices meanwhile.
    Large(large::Options),
    /// What a user notices while something else happens, or nothing.
    Probe(probe::AloneOptions),
    /// How soon after its start a server serves.
    Ready(ready::Options),
    /// One large message in by SMTP and out by IMAP, watching memory.
    Stream(stream::Options),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let target = &arguments.target;
    let figures = match &arguments.workload {
        Workload::Smtp(options) => smtp::run(target, options)?,
        Workload::Append(options) => append::run(target, options)?,
        Workload::IdleLatency(options) => idle::latency(target, options)?,
        Workload::IdleMemory(options) => idle::memory(target, options)?,
        Workload::Rest(options) => idle::rest(target, options),
        Workload::Fill(options) => fill::run(target, options)?,
        Workload::Mailbox(options) => mailbox::run(target, options)?,
        Workload::Large(options) => large::run(target, options)?,
        Workload::Probe(options) => probe::alone(target, options)?,
        Workload::Ready(options) => ready::run(target, options)?,
        Workload::Stream(options) => stream::run(target, options)?,
    };
    println!("{figures}");
    Ok(())
}
