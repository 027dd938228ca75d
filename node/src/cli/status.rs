//! Shows how node and cluster stand: for people as short sentences and tables, for scripts as JSON.

use super::arguments::Listing;
use super::exit::{Exit, Failure};
use super::listing::{json, print, table};
use super::members::{node_rows, shard_rows};
use crate::admin::StatusReport;
use std::fmt::Write as _;

/// How the node and its cluster stand.
pub fn show(report: &StatusReport, how: Listing) -> Result<Exit, Failure> {
    if how.json { json(report) } else { print(&text(report)) }
}

fn text(report: &StatusReport) -> String {
    let state = if report.available { "takes mail" } else { "does not take mail" };
    let mut text = String::new();
    for (number, sentence) in report.outlook.iter().enumerate() {
        let _ = writeln!(text, "{:<9} {sentence}", if number == 0 { "cluster" } else { "" });
    }
    let _ = writeln!(text, "node      {} ({}), mailnode {}, {state}", report.name, report.hostname, report.version);
    for note in &report.notes {
        let _ = writeln!(text, "note      {note}");
    }
    let _ = writeln!(text, "process   {}, up {}", report.pid, duration(report.uptime_seconds));
    let _ = writeln!(text, "data      {}", report.data);
    if let Some(free) = report.disk_free_bytes {
        let _ = writeln!(text, "disk      {} MiB free", free / (1024 * 1024));
    }
    let _ = writeln!(text, "groups    {} of {} led here", report.groups_led, report.groups);
    let _ = writeln!(text, "logs      {} entries, {} KiB", report.log_entries, report.log_bytes / 1024);
    let _ = writeln!(
        text,
        "mail      {} domains, {} accounts, {} aliases",
        report.domains, report.accounts, report.aliases
    );
    let _ = writeln!(text, "queue     {} messages", report.queued);
    let _ = writeln!(text, "sessions  {}", report.sessions);
    let _ = writeln!(text, "authority {}", report.cluster);
    for listener in &report.listeners {
        let _ = writeln!(text, "listens   {:<12} {} (TLS: {})", listener.name, listener.address, listener.tls);
    }
    if report.nodes.len() > 1 {
        let _ = write!(text, "\n{}\n{}", table(&node_rows(&report.nodes)), table(&shard_rows(&report.shards)));
    }
    text
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{NodeItem, ShardItem};

    #[test]
    fn the_most_important_stands_first_and_tables_appear_with_the_second_node() {
        let node = |name: &str| NodeItem { name: name.into(), reachable: true, ..NodeItem::default() };
        let mut report = StatusReport {
            name: "a".into(),
            outlook: vec!["can lose any 1 node".into(), "c does not answer".into()],
            nodes: vec![node("a")],
            shards: vec![ShardItem::default()],
            ..StatusReport::default()
        };
        let alone = text(&report);
        assert!(
            alone.starts_with("cluster   can lose any 1 node\n          c does not answer\nnode      a"),
            "{alone}"
        );
        assert!(!alone.contains("LEADER"));
        report.nodes.push(node("b"));
        assert!(text(&report).contains("LEADER"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(
            [duration(59), duration(61), duration(7_260), duration(90_000)],
            ["59 s", "1 min", "2 h 1 min", "1 d 1 h"]
        );
    }
}
