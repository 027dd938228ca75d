//! Clusters of several nodes in one process: joining, what is refused, who holds and leads what, leaving.

mod common;

use cluster::{Cluster, Join, Role, StartError, StartOptions};
use common::*;
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand;
use model::directory::row::NodeState;
use model::{AccountId, Command, GroupId, NodeId, OperationId, Reply};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

struct Node {
    cluster: Cluster,
    data: TempDir,
}

async fn launch(data: &Path, name: &str, join: Option<Join>) -> Result<Cluster, StartError> {
    let data = data.to_path_buf();
    let store = tokio::task::spawn_blocking(move || open_store(&data)).await.unwrap();
    let kept = store.clone();
    let started = Cluster::start(StartOptions { join, ..StartOptions::alone(store, name) }).await;
    if started.is_err() {
        tokio::task::spawn_blocking(move || kept.close()).await.unwrap().unwrap();
    }
    started
}

async fn first() -> Node {
    let data = tempfile::tempdir().unwrap();
    Node { cluster: launch(data.path(), "n1", None).await.unwrap(), data }
}

async fn invitation(host: &Cluster) -> Join {
    Join { address: host.cluster_address().to_string(), token: host.create_token(HOUR).await.unwrap() }
}

async fn joined(host: &Cluster, name: &str) -> Node {
    let (data, join) = (tempfile::tempdir().unwrap(), invitation(host).await);
    Node { cluster: launch(data.path(), name, Some(join)).await.unwrap(), data }
}

async fn refused(host: &Cluster, name: &str, join: Join) -> String {
    let (data, before) = (tempfile::tempdir().unwrap(), host.nodes().await.unwrap());
    let error = launch(data.path(), name, Some(join)).await.err().expect("it must not join");
    assert_eq!(host.nodes().await.unwrap(), before, "nothing is changed");
    assert!(matches!(error, StartError::Join(_)), "{error}");
    error.to_string()
}

/// The voters of each group and who leads how many, as the nodes together say.
async fn shape(nodes: &[&Cluster]) -> (BTreeMap<GroupId, BTreeSet<NodeId>>, BTreeMap<NodeId, usize>) {
    let (mut voters, mut leads) = (BTreeMap::new(), BTreeMap::new());
    for node in nodes {
        for group in node.status().groups.into_iter().filter(|group| group.role == Role::Leader) {
            let voting = group.replicas.iter().filter(|replica| replica.voter).map(|replica| replica.node);
            voters.insert(group.group, voting.collect());
            *leads.entry(node.node()).or_default() += 1;
        }
    }
    (voters, leads)
}

async fn until_held_by(nodes: &[&Cluster]) {
    let all: BTreeSet<NodeId> = nodes.iter().map(|node| node.node()).collect();
    until(async || {
        let (voters, _) = shape(nodes).await;
        let right = voters.len() == 33 && voters.values().all(|voting| *voting == all);
        right.then_some(()).ok_or(voters)
    })
    .await;
}

async fn set_state(cluster: &Cluster, node: NodeId, state: NodeState) {
    let command = MemberCommand::SetState { node, state };
    let command = Command::Directory(DirectoryCommand::Members(command));
    let operation = OperationId::new(1, [node.0 as u8 * 8 + state as u8; 10]);
    assert_eq!(cluster.propose(GroupId::DIRECTORY, operation, command).await, Ok(Reply::Done));
}

async fn until_removed(cluster: &Cluster, node: NodeId) {
    until(async || match cluster.nodes().await {
        Ok(nodes) if nodes[&node].state == NodeState::Removed => Ok(()),
        other => Err(other.map(|nodes| nodes[&node].state)),
    })
    .await;
}

async fn all_stop(nodes: Vec<Node>) {
    for node in nodes {
        stop(node.cluster).await;
        drop(node.data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_join_and_hold_and_lead_everything_together() {
    let one = first().await;
    one.cluster.propose(GroupId::DIRECTORY, operation(1), set("before", "yes")).await.unwrap();
    one.cluster.propose(SHARD, operation(2), create_account(ACCOUNT)).await.unwrap();
    let two = joined(&one.cluster, "n2").await;
    assert_eq!(setting(&two.cluster.read_stale(GroupId::DIRECTORY).unwrap(), "before").as_deref(), Some("yes"));
    until_held_by(&[&one.cluster, &two.cluster]).await;
    let three = joined(&one.cluster, "n3").await;
    let all = [&one.cluster, &two.cluster, &three.cluster];
    until_held_by(&all).await;
    until(async || {
        let (_, leads) = shape(&all).await;
        leads.values().all(|count| *count == 11).then_some(()).ok_or(leads)
    })
    .await;
    until(async || match three.cluster.read_stale(SHARD) {
        Ok(rows) if model::mailbox::view::folder_by_name(&rows, ACCOUNT, "INBOX").unwrap().is_some() => Ok(()),
        other => Err(other.err()),
    })
    .await;
    let overview = one.cluster.overview().await;
    assert_eq!(overview.len(), 3);
    assert!(overview.values().all(|report| report.clock_offset_ms.abs() < 60_000));
    let names: Vec<_> = one.cluster.nodes().await.unwrap().into_values().map(|row| row.facts.name).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    // Any node takes proposals, whoever leads.
    for (at, cluster) in all.into_iter().enumerate() {
        let reply = cluster.propose(SHARD, operation(10 + at as u64), create_account(AccountId(10 + at as u64))).await;
        assert_eq!(reply, Ok(Reply::Done));
    }
    // A node that is gone for good is removed without it.
    let gone = three.cluster.node();
    stop(three.cluster).await;
    set_state(&two.cluster, gone, NodeState::Leaving).await;
    until_held_by(&[&one.cluster, &two.cluster]).await;
    until_removed(&two.cluster, gone).await;
    all_stop(vec![two, one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_used_and_expired_tokens_and_taken_names_are_told_and_change_nothing() {
    let (one, stranger) = (first().await, first().await);
    let good = invitation(&one.cluster).await;
    let with = |token: String| Join { token, ..good.clone() };
    assert!(refused(&one.cluster, "x", with("MN1.zz".into())).await.contains("cut short"));
    let foreign = stranger.cluster.create_token(HOUR).await.unwrap();
    assert!(refused(&one.cluster, "x", with(foreign)).await.contains("another cluster"));
    let cut = good.token.rsplit_once('.').unwrap().0;
    assert!(refused(&one.cluster, "x", with(format!("{cut}.{}", "00".repeat(32)))).await.contains("secret is wrong"));
    let parts: Vec<&str> = good.token.split('.').collect();
    let unknown = format!("{}.{}.{}.{}", parts[0], parts[1], "00".repeat(8), parts[3]);
    assert!(refused(&one.cluster, "x", with(unknown)).await.contains("not known"));
    let expired = one.cluster.create_token(Duration::ZERO).await.unwrap();
    assert!(refused(&one.cluster, "x", with(expired)).await.contains("expired"));
    assert!(refused(&one.cluster, "n1", good.clone()).await.contains("another node has the name n1"));
    // None of these used it up.
    let data = tempfile::tempdir().unwrap();
    let two = Node { cluster: launch(data.path(), "n2", Some(good.clone())).await.unwrap(), data };
    assert!(refused(&one.cluster, "n3", good).await.contains("used by another node"));
    all_stop(vec![two, one, stranger]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_gives_everything_up_and_keeps_nothing() {
    let one = first().await;
    one.cluster.propose(SHARD, operation(2), create_account(ACCOUNT)).await.unwrap();
    let two = joined(&one.cluster, "n2").await;
    until_held_by(&[&one.cluster, &two.cluster]).await;
    set_state(&one.cluster, two.cluster.node(), NodeState::Leaving).await;
    until_held_by(&[&one.cluster]).await;
    until_removed(&one.cluster, two.cluster.node()).await;
    until(async || {
        let left: Vec<_> = two.cluster.groups().collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    one.cluster.propose(SHARD, operation(3), create_account(AccountId(2))).await.unwrap();
    let homes = std::fs::read_dir(two.data.path().join("mail/example.org")).unwrap().count();
    assert_eq!(homes, 0);
    let peers = timeout(PATIENCE, async {
        while !one.cluster.peers().is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    peers.await.expect("a removed node is no peer");
    all_stop(vec![two, one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_finds_a_leader_whom_it_does_not_know() {
    let one = first().await;
    let (two, three) = (joined(&one.cluster, "n2").await, joined(&one.cluster, "n3").await);
    until_held_by(&[&one.cluster, &two.cluster, &three.cluster]).await;
    let (away, at) = (three.cluster.node(), three.cluster.cluster_address());
    stop(three.cluster).await;
    let (four, five) = (joined(&one.cluster, "n4").await, joined(&one.cluster, "n5").await);
    for known in [&one.cluster, &two.cluster] {
        set_state(&one.cluster, known.node(), NodeState::Draining).await;
    }
    until(async || {
        let (led, _) = shape(&[&four.cluster, &five.cluster]).await;
        led.contains_key(&GroupId::DIRECTORY).then_some(()).ok_or(led)
    })
    .await;
    let data = three.data.path().to_path_buf();
    let store = tokio::task::spawn_blocking(move || open_store(&data)).await.unwrap();
    let options = StartOptions { bind: at, ..StartOptions::alone(store, "n3") };
    let back = Cluster::start(options).await.unwrap();
    assert_eq!(back.node(), away);
    until(async || {
        let rows = back.read_stale(GroupId::DIRECTORY).map_err(|error| error.to_string())?;
        let known = model::directory::view::node(&rows, five.cluster.node()).unwrap();
        known.map(drop).ok_or_else(|| format!("{:?}", back.peers()))
    })
    .await;
    assert_eq!(back.propose(GroupId::DIRECTORY, operation(90), set("back", "yes")).await, Ok(Reply::Done));
    all_stop(vec![Node { cluster: back, data: three.data }, five, four, two, one]).await;
}
