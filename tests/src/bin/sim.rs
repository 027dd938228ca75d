//! Runs the simulation: one seed, a range of them, or for ever. The last line of one seed is its trace's hash; a violation
//! is told on standard error and ends it with failure.
#![forbid(unsafe_code)]

use mimalloc::MiMalloc;
use std::process::{Command, ExitCode};
use std::time::Instant;
use tests::sim::{Outcome, Settings, run};

/// Simulated nodes allocate and free small things most of all.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A long campaign is done in processes of so many seeds: what killed nodes leave in memory goes with each.
const SEEDS_PER_PROCESS: u64 = 1_000;

const USAGE: &str = "usage: sim (--seed N | --seeds A..B | --forever [FROM] | --faults) [--twice] [--go-on] [--plant FAULT] [--sessions PERCENT]; RUST_LOG=info tells more";

struct Arguments {
    seeds: std::ops::Range<u64>,
    is_one: bool,
    twice: bool,
    goes_on: bool,
    settings: Settings,
    /// What each process of a long campaign is given besides its seeds.
    rest: Vec<String>,
}

fn main() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let Some(arguments) = parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if arguments.seeds.end - arguments.seeds.start > SEEDS_PER_PROCESS {
        return in_parts(&arguments);
    }
    let started = Instant::now();
    let (mut done, mut unknown, mut failed) = (0, 0, 0);
    let first = arguments.seeds.start;
    for seed in arguments.seeds.clone() {
        let outcome = run(seed, arguments.settings);
        if arguments.twice && run(seed, arguments.settings) != outcome {
            eprintln!("seed {seed}: two runs differ");
            return ExitCode::FAILURE;
        }
        if arguments.is_one {
            tell(&outcome);
        }
        if !outcome.violations.is_empty() {
            outcome.violations.iter().for_each(|violation| eprintln!("seed {seed}: {violation}"));
            failed += 1;
        }
        if arguments.is_one || !outcome.violations.is_empty() {
            println!("seed {seed} trace {:016x}", outcome.trace);
        }
        if failed > 0 && !arguments.goes_on {
            return ExitCode::FAILURE;
        }
        (done, unknown) = (done + outcome.done, unknown + outcome.unknown);
        let count = seed + 1 - first;
        if !arguments.is_one && (count.is_multiple_of(50) || seed + 1 == arguments.seeds.end) {
            let rate = count as f64 / started.elapsed().as_secs_f64();
            println!("{count} seeds, {rate:.1} per second, {done} operations answered, {unknown} tries unknown");
        }
    }
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs a process for each thousand seeds; failure when one failed, at once unless it shall go on.
fn in_parts(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let mut failed = false;
    let mut next = arguments.seeds.start;
    while next < arguments.seeds.end {
        let end = next.saturating_add(SEEDS_PER_PROCESS).min(arguments.seeds.end);
        let mut part = Command::new("/proc/self/exe");
        part.args(["--seeds", &format!("{next}..{end}")]).args(&arguments.rest);
        failed |= !part.status().is_ok_and(|status| status.success());
        if failed && !arguments.goes_on {
            return ExitCode::FAILURE;
        }
        next = end;
        let count = next - arguments.seeds.start;
        println!("{count} seeds in all, {:.1} per second", count as f64 / started.elapsed().as_secs_f64());
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn tell(outcome: &Outcome) {
    let Outcome { done, unknown, reads, commands, polls, length, faults, .. } = outcome;
    println!(
        "{done} operations answered, {unknown} tries unknown, {reads} reads, {commands} commands of sessions, {polls} task runs, {length:?} simulated"
    );
    println!("{faults:?}");
}

fn parse() -> Option<Arguments> {
    let mut given = std::env::args().skip(1).peekable();
    let (seeds, settings) = (0..0, Settings::default());
    let mut arguments = Arguments { seeds, is_one: false, twice: false, goes_on: false, settings, rest: Vec::new() };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--seed" => {
                let seed = given.next()?.parse().ok()?;
                arguments = Arguments { seeds: seed..seed + 1, is_one: true, ..arguments };
            }
            "--seeds" => {
                let range = given.next()?;
                let (from, to) = range.split_once("..")?;
                arguments.seeds = from.parse().ok()?..to.parse().ok()?;
            }
            "--forever" => {
                let from = given.next_if(|next| !next.starts_with("--")).map_or(Some(0), |from| from.parse().ok())?;
                arguments.seeds = from..u64::MAX;
            }
            "--go-on" => {
                arguments.goes_on = true;
                arguments.rest.push(argument);
            }
            "--twice" => {
                arguments.twice = true;
                arguments.rest.push(argument);
            }
            "--sessions" => {
                let percent = given.next()?;
                arguments.settings.sessions_percent = percent.parse().ok()?;
                arguments.rest.extend([argument, percent]);
            }
            "--faults" => {
                faults::ALL.iter().for_each(|fault| println!("{}", fault.name()));
                std::process::exit(0);
            }
            "--plant" => {
                let name = given.next()?;
                let fault = faults::Fault::of_name(&name)?;
                arguments.rest.extend([argument, name]);
                if !faults::ENABLED {
                    eprintln!("faults cannot be planted in this build: set MAILNODE_FAULTS=1 while building");
                    return None;
                }
                faults::plant(Some(fault));
            }
            _ => return None,
        }
    }
    (!arguments.seeds.is_empty()).then_some(arguments)
}
