//! Clusters that lost their quorum for good and go on with one node; the others come back and are refused.

mod common;

use cluster::recover::{Report, examine, recover};
use cluster::{Cluster, Join, Role, StartOptions};
use common::*;
use model::directory::row::NodeState;
use model::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const NOW: u64 = 2_000_000_000_000;
const MESSAGES: u64 = 10;

struct Node {
    cluster: Cluster,
    data: TempDir,
}

async fn launch(data: &Path, name: &str, bind: SocketAddr, join: Option<Join>) -> Cluster {
    let data = data.to_path_buf();
    let store = tokio::task::spawn_blocking(move || open_store(&data)).await.unwrap();
    Cluster::start(StartOptions { bind, join, ..StartOptions::alone(store, name) }).await.unwrap()
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn first() -> Node {
    let data = tempfile::tempdir().unwrap();
    Node { cluster: launch(data.path(), "n1", anywhere(), None).await, data }
}

async fn joined(host: &Cluster, name: &str) -> Node {
    let token = host.create_token(Duration::from_secs(3600)).await.unwrap();
    let join = Join { address: host.cluster_address().to_string(), token };
    let data = tempfile::tempdir().unwrap();
    Node { cluster: launch(data.path(), name, anywhere(), Some(join)).await, data }
}

/// Waits until each group's leader says that exactly these nodes vote.
async fn until_held_by(nodes: &[&Cluster]) {
    let all: BTreeSet<NodeId> = nodes.iter().map(|node| node.node()).collect();
    until(async || {
        let mut voters: BTreeMap<GroupId, BTreeSet<NodeId>> = BTreeMap::new();
        for group in nodes.iter().flat_map(|node| node.status().groups) {
            if group.role == Role::Leader {
                let voting = group.replicas.iter().filter(|replica| replica.voter).map(|replica| replica.node);
                voters.insert(group.group, voting.collect());
            }
        }
        let right = voters.len() == 33 && voters.values().all(|voting| *voting == all);
        right.then_some(()).ok_or(voters)
    })
    .await;
}

fn count(node: &Cluster) -> usize {
    let rows = node.read_stale(SHARD).unwrap();
    uids(&rows, inbox(&rows)).len()
}

/// Appends until it is acknowledged: a leader may be on its way.
async fn append_one(node: &Cluster, number: u64) {
    until(async || {
        let folder = inbox(&node.read(SHARD).await.map_err(|error| error.to_string())?);
        let sent = node.propose(SHARD, operation(number), append(folder, inline(b"Subject: x\r\n\r\n"))).await;
        sent.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

async fn recover_stopped(data: &Path) -> Report {
    let data = data.to_path_buf();
    tokio::task::spawn_blocking(move || {
        let store = open_store(&data);
        let report = examine(&store).unwrap();
        assert_eq!(recover(&store, NOW).unwrap(), report);
        store.close().unwrap();
        report
    })
    .await
    .unwrap()
}

fn dropped(report: &Report) -> Vec<&str> {
    report.dropped.iter().map(|node| node.name.as_str()).collect()
}

async fn all_stop(nodes: Vec<Node>) {
    for node in nodes {
        stop(node.cluster).await;
        drop(node.data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_either_goes_on_alone_with_nothing_lost() {
    let one = first().await;
    one.cluster.propose(SHARD, operation(1), create_account(ACCOUNT)).await.unwrap();
    let two = joined(&one.cluster, "n2").await;
    until_held_by(&[&one.cluster, &two.cluster]).await;
    for number in 0..MESSAGES {
        append_one(&two.cluster, 100 + number).await;
    }
    stop(one.cluster).await;
    stop(two.cluster).await;
    let report = recover_stopped(two.data.path()).await;
    assert!(report.nothing_is_lost(), "{report:?}");
    assert_eq!(dropped(&report), ["n1"]);
    let alone = launch(two.data.path(), "n2", anywhere(), None).await;
    assert_eq!(count(&alone), MESSAGES as usize);
    append_one(&alone, 200).await;
    assert_eq!(count(&alone), MESSAGES as usize + 1);
    assert!(alone.status().is_available());
    stop(alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_goes_on_and_the_others_that_come_back_disturb_nothing() {
    let one = first().await;
    one.cluster.propose(SHARD, operation(1), create_account(ACCOUNT)).await.unwrap();
    let two = joined(&one.cluster, "n2").await;
    let three = joined(&one.cluster, "n3").await;
    until_held_by(&[&one.cluster, &two.cluster, &three.cluster]).await;
    for number in 0..MESSAGES {
        append_one(&one.cluster, 100 + number).await;
    }
    until(async || if count(&three.cluster) == MESSAGES as usize { Ok(()) } else { Err(count(&three.cluster)) }).await;
    let address = three.cluster.cluster_address();
    stop(three.cluster).await;
    // The others were not lost after all: they elect leaders in higher terms and go on.
    append_one(&one.cluster, 150).await;

    let report = recover_stopped(three.data.path()).await;
    assert!(!report.nothing_is_lost());
    assert_eq!((dropped(&report), report.lost().count()), (vec!["n1", "n2"], 0));
    assert!(report.copies().all(|(_, copy)| copy.is_voter && copy.is_listed));
    let alone = launch(three.data.path(), "n3", address, None).await;
    let terms = |node: &Cluster| -> Vec<u64> { node.status().groups.iter().map(|group| group.term).collect() };
    let before = terms(&alone);
    assert_eq!(count(&alone), MESSAGES as usize, "what was acknowledged and here is here");
    for number in 0..MESSAGES {
        append_one(&one.cluster, 300 + number).await;
        append_one(&alone, 400 + number).await;
    }
    assert_eq!(count(&alone), 2 * MESSAGES as usize);
    assert_eq!(terms(&alone), before, "nobody made it vote again");
    assert!(alone.peers().is_empty());
    let reached = one.cluster.peers().into_iter().any(|peer| peer.node == alone.node() && peer.connected);
    assert!(!reached, "the old members are not let in");
    assert!(alone.status().groups.iter().all(|group| group.replicas.len() == 1 && group.role == Role::Leader));
    let states: Vec<_> = alone.nodes().await.unwrap().into_values().map(|row| row.state).collect();
    assert_eq!(states, [NodeState::Removed, NodeState::Removed, NodeState::Active]);

    let fresh = joined(&alone, "n2").await;
    until_held_by(&[&alone, &fresh.cluster]).await;
    append_one(&fresh.cluster, 500).await;
    until(async || if count(&fresh.cluster) == 2 * MESSAGES as usize + 1 { Ok(()) } else { Err(()) }).await;
    let three = Node { cluster: alone, data: three.data };
    all_stop(vec![fresh, three, two, one]).await;
}
