//! Kills a node again and again under load and checks after every start that nothing acknowledged was lost:
//! `cargo run --release -p tests --bin kills -- 1000 [SEED] [DATA]`. The last line says how it went.
#![forbid(unsafe_code)]

use std::env;
use std::io;
use std::path::PathBuf;
use tests::kills::{Campaign, run};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let mut number = |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (kills, seed) = (number(1_000), number(1));
    let directory = arguments.next().map_or_else(|| env::temp_dir().join("mailnode-kills"), PathBuf::from);
    let report = run(&Campaign { directory, kills, seed, users: 4 }, |line| println!("{line}"))?;
    println!("{report}");
    std::process::exit(i32::from(!report.wrong.is_empty()));
}
