//! A node that dies with SIGKILL while it is written to keeps everything it acknowledged.
//!
//! The test starts itself again as the victim, which writes down every acknowledgement on its standard output.

mod common;

use common::*;
use model::GroupId;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

const VICTIM_DATA: &str = "CLUSTER_TEST_VICTIM_DATA";
const ROUNDS: u64 = 5;
const ACKNOWLEDGED_PER_ROUND: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_keeps_what_it_acknowledged() {
    if let Some(data) = std::env::var_os(VICTIM_DATA) {
        return victim(data.as_ref()).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        acknowledged.extend(run_victim(directory.path(), round));
    }
    let node = start(directory.path()).await;
    let view = node.read(GroupId::DIRECTORY).await.unwrap();
    for name in &acknowledged {
        assert_eq!(setting(&view, name).as_ref(), Some(name), "an acknowledged entry is lost");
    }
    assert!(acknowledged.len() >= ROUNDS as usize * ACKNOWLEDGED_PER_ROUND);
    drop(view);
    stop(node).await;
}

/// Runs a victim until it has acknowledged enough, kills it in the middle of its work, and says what it acknowledged.
fn run_victim(data: &std::path::Path, round: u64) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_node_keeps_what_it_acknowledged", "--nocapture"])
        .env(VICTIM_DATA, data)
        .env("ROUND", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut take = |line: std::io::Result<String>| {
        if let Some(name) = line.unwrap().strip_prefix("acknowledged ") {
            acknowledged.push(name.to_string());
        }
        acknowledged.len()
    };
    while take(lines.next().expect("the victim ended before it was killed")) < ACKNOWLEDGED_PER_ROUND {}
    victim.kill().unwrap();
    victim.wait().unwrap();
    // What it still managed to say counts as well; the last line may be cut off.
    for line in lines.map_while(Result::ok).filter(|line| line.ends_with('.')) {
        take(Ok(line));
    }
    acknowledged.iter().map(|name| name.trim_end_matches('.').to_string()).collect()
}

async fn victim(data: &std::path::Path) {
    let round: u64 = std::env::var("ROUND").unwrap().parse().unwrap();
    let node = start(data).await;
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let node = node.clone();
            tokio::spawn(async move {
                for number in 0..1_000_000 {
                    let name = format!("r{round}-t{task}-{number}");
                    let id = operation((round << 48) + (task << 32) + number);
                    node.propose(GroupId::DIRECTORY, id, set(&name, &name)).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nacknowledged {name}.").unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
