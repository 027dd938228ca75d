//! What the cluster can lose right now, in plain words. Pure: looks at nodes and shards, says sentences.

use super::roster::{NodeItem, NodeStanding, ShardItem};
use crate::limits::CLOCK_OFFSET_WARNED_MS;
use std::collections::BTreeSet;

/// Names that are said one by one.
const NAMED_MAX: usize = 20;

/// The sentences, the most important first; at least one.
pub fn outlook(nodes: &[NodeItem], shards: &[ShardItem]) -> Vec<String> {
    let mut said = Vec::new();
    let lost: Vec<&ShardItem> = shards.iter().filter(|shard| margin(shard).is_none()).collect();
    if !lost.is_empty() {
        said.push(format!(
            "quorum lost on {}: no writes there until {} again",
            groups(lost.iter().map(|shard| shard.shard)),
            come_back(&lost)
        ));
    }
    let leaderless: Vec<u32> =
        shards.iter().filter(|shard| margin(shard).is_some() && shard.leader.is_none()).map(|s| s.shard).collect();
    if !leaderless.is_empty() {
        said.push(format!("no leader on {}: no writes there until one is elected", groups(leaderless.into_iter())));
    }
    if lost.is_empty() {
        said.push(what_can_be_lost(nodes, shards));
    }
    said.extend(warnings(nodes, shards));
    said
}

/// Whether every group has a quorum and a leader.
pub fn takes_writes(shards: &[ShardItem]) -> bool {
    shards.iter().all(|shard| margin(shard).is_some() && shard.leader.is_some())
}

/// The first of some names, and how many more there are.
pub fn some_of(names: &[String]) -> String {
    let named = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// How many of its voters a group can still lose; `None` without a quorum.
fn margin(shard: &ShardItem) -> Option<usize> {
    let voters = shard.replicas.iter().filter(|replica| replica.voter);
    let alive = voters.clone().filter(|replica| replica.reachable).count();
    alive.checked_sub(voters.count() / 2 + 1)
}

fn what_can_be_lost(nodes: &[NodeItem], shards: &[ShardItem]) -> String {
    match shards.iter().filter_map(margin).min().unwrap_or(0) {
        0 => {}
        1 => return "can lose any 1 node".to_owned(),
        more => return format!("can lose any {more} nodes"),
    }
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let all_up = nodes.iter().all(|node| node.reachable);
    if let [_] = names[..] {
        return "1 node: losing it stops everything, and losing its disk loses the mail".to_owned();
    }
    if let ([_, _], true) = (&names[..], all_up) {
        let whole = shards.iter().all(|shard| shard.replicas.iter().filter(|replica| replica.voter).count() == 2);
        if whole {
            return "2 nodes: losing either stops writes".to_owned();
        }
    }
    let tight: Vec<&ShardItem> = shards.iter().filter(|shard| margin(shard) == Some(0)).collect();
    let critical = |name: &&str| {
        tight.iter().any(|shard| shard.replicas.iter().any(|replica| replica.node == **name && replica.voter))
    };
    let up = nodes.iter().filter(|node| node.reachable).map(|node| node.name.as_str());
    let critical: Vec<&str> = up.filter(critical).collect();
    let of = if tight.len() == shards.len() {
        String::new()
    } else {
        format!(" on {}", groups(tight.iter().map(|shard| shard.shard)))
    };
    format!("cannot lose {} now: that stops writes{of}", one_of(&critical, "or"))
}

/// Whose return brings the quorum back.
fn come_back(lost: &[&ShardItem]) -> String {
    let replicas = lost.iter().flat_map(|shard| &shard.replicas);
    let away: BTreeSet<&str> =
        replicas.filter(|replica| replica.voter && !replica.reachable).map(|replica| replica.node.as_str()).collect();
    let away: Vec<&str> = away.into_iter().collect();
    match away[..] {
        [] => "nodes answer".to_owned(),
        [one] => format!("{one} answers"),
        _ => format!("enough of {} answer", one_of(&away, "and")),
    }
}

fn warnings(nodes: &[NodeItem], shards: &[ShardItem]) -> Vec<String> {
    let mut said = Vec::new();
    for node in nodes.iter().filter(|node| !node.reachable) {
        said.push(format!("{} does not answer", node.name));
    }
    for node in nodes {
        match node.standing {
            NodeStanding::Active => {}
            NodeStanding::Draining => {
                said.push(format!("{} is draining: it leads nothing that another can", node.name))
            }
            NodeStanding::Leaving => {
                let left = shards.iter().filter(|shard| shard.replicas.iter().any(|at| at.node == node.name)).count();
                said.push(format!("{} is leaving: {left} groups to move", node.name));
            }
        }
        if let Some(offset) = node.clock_offset_ms.filter(|offset| offset.unsigned_abs() > CLOCK_OFFSET_WARNED_MS) {
            let way = if offset > 0 { "ahead" } else { "behind" };
            said.push(format!(
                "the clock of {} is {} s {way}: set both by NTP",
                node.name,
                offset.unsigned_abs() / 1_000
            ));
        }
    }
    let catching_up: Vec<u32> = shards
        .iter()
        .filter(|shard| shard.shard != 0 && shard.replicas.iter().any(|replica| !replica.voter))
        .map(|shard| shard.shard)
        .collect();
    if !catching_up.is_empty() {
        said.push(format!("replicas are catching up on {}", groups(catching_up.into_iter())));
    }
    let releases: BTreeSet<&str> =
        nodes.iter().filter(|node| !node.version.is_empty()).map(|node| node.version.as_str()).collect();
    if releases.len() > 1 {
        let releases: Vec<&str> = releases.into_iter().collect();
        said.push(format!(
            "nodes of releases {}: what is new waits for the last to be upgraded",
            one_of(&releases, "and")
        ));
    }
    said
}

/// `a`, `a or b`, `a, b or c`.
fn one_of(names: &[&str], word: &str) -> String {
    match names {
        [] => "any node".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}

/// `shard 3`, `shards 1-4 and 7`, `the directory and shards 2, 5`; numbers in any order.
pub fn groups(numbers: impl Iterator<Item = u32>) -> String {
    let numbers: BTreeSet<u32> = numbers.collect();
    let shards = ranges(numbers.iter().copied().filter(|number| *number != 0));
    let plural = if numbers.iter().filter(|number| **number != 0).count() > 1 { "shards" } else { "shard" };
    match (numbers.contains(&0), shards.is_empty()) {
        (true, true) => "the directory".to_owned(),
        (true, false) => format!("the directory and {plural} {shards}"),
        (false, _) => format!("{plural} {shards}"),
    }
}

/// `1-4, 7` for ascending numbers.
pub fn ranges(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::roster::ReplicaItem;
    use super::*;

    /// Nodes by name; those in lower case answer.
    fn nodes(names: &str) -> Vec<NodeItem> {
        let node = |name: char| NodeItem {
            name: name.to_lowercase().collect(),
            reachable: name.is_lowercase(),
            ..NodeItem::default()
        };
        names.chars().map(node).collect()
    }

    /// Shards from 0 by the names of their voters; those in upper case do not answer.
    fn shards(voters: &[&str]) -> Vec<ShardItem> {
        let replica = |name: char| ReplicaItem {
            node: name.to_lowercase().collect(),
            voter: true,
            reachable: name.is_lowercase(),
            lag: None,
        };
        let shard = |(number, voters): (usize, &&str)| ShardItem {
            shard: u32::try_from(number).unwrap(),
            leader: Some("a".to_owned()),
            replicas: voters.chars().map(replica).collect(),
        };
        voters.iter().enumerate().map(shard).collect()
    }

    fn first(names: &str, voters: &[&str]) -> String {
        outlook(&nodes(names), &shards(voters)).remove(0)
    }

    #[test]
    fn every_size_of_cluster_says_what_it_can_lose() {
        assert_eq!(
            outlook(&nodes("a"), &shards(&["a", "a"])),
            ["1 node: losing it stops everything, and losing its disk loses the mail"]
        );
        assert_eq!(outlook(&nodes("ab"), &shards(&["ab", "ab"])), ["2 nodes: losing either stops writes"]);
        assert_eq!(outlook(&nodes("abc"), &shards(&["abc", "abc"])), ["can lose any 1 node"]);
        assert_eq!(first("abcde", &["abcde", "abc", "bcd"]), "can lose any 1 node");
        assert_eq!(first("abcde", &["abcde", "abcde"]), "can lose any 2 nodes");
    }

    #[test]
    fn with_a_node_away_it_says_whose_loss_would_stop_what() {
        assert_eq!(first("abC", &["abC", "abC"]), "cannot lose a or b now: that stops writes");
        assert_eq!(first("abcD", &["abc", "abc", "abD"]), "cannot lose a or b now: that stops writes on shard 2");
        assert_eq!(first("ab", &["ab", "a"]), "cannot lose a or b now: that stops writes");
        assert!(outlook(&nodes("abC"), &shards(&["abC"])).contains(&"c does not answer".to_owned()));
    }

    #[test]
    fn a_lost_quorum_is_said_first_and_who_must_come_back() {
        assert_eq!(
            first("abC", &["abC", "abC", "abC", "aC"]),
            "quorum lost on shard 3: no writes there until c answers again"
        );
        assert!(takes_writes(&shards(&["abC"])) && !takes_writes(&shards(&["abC", "aC"])));
        assert_eq!(
            first("aBC", &["aBC", "aBC", "aBC"]),
            "quorum lost on the directory and shards 1-2: no writes there until enough of b and c answer again"
        );
    }

    #[test]
    fn warnings_follow() {
        let mut nodes = nodes("abc");
        nodes[0].version = "0.1.0".into();
        nodes[1].version = "0.2.0".into();
        nodes[1].clock_offset_ms = Some(-90_500);
        nodes[2].standing = NodeStanding::Leaving;
        let mut shards = shards(&["abc", "abc", "abc"]);
        shards[2].replicas[1].voter = false;
        shards[1].leader = None;
        assert_eq!(
            outlook(&nodes, &shards),
            [
                "no leader on shard 1: no writes there until one is elected",
                "cannot lose a or c now: that stops writes on shard 2",
                "the clock of b is 90 s behind: set both by NTP",
                "c is leaving: 3 groups to move",
                "replicas are catching up on shard 2",
                "nodes of releases 0.1.0 and 0.2.0: what is new waits for the last to be upgraded",
            ]
        );
    }

    #[test]
    fn numbers_are_told_as_ranges() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10].into_iter()), "1-3, 7, 9-10");
        assert_eq!(groups([5].into_iter()), "shard 5");
        assert_eq!(groups([0].into_iter()), "the directory");
    }
}
