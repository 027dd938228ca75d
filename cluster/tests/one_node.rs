//! A cluster of one on the real store: what is acknowledged is there, after everything that can happen to one node.

mod common;

use cluster::{Notice, ProposeError, Role, StartError, StartOptions};
use common::*;
use model::directory::DirectoryCommand;
use model::directory::row::{Credentials, ScramKeys};
use model::{Change, Command, GroupId, Reply, UidSet};
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_applied_watched_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let mut watcher = node.watch(SHARD).unwrap();
    assert_eq!(node.propose(SHARD, operation(1), create_account(ACCOUNT)).await, Ok(Reply::Done));
    assert_eq!(watcher.next().await, Some(Notice::Changed(Change::FolderList(ACCOUNT))));
    let folder = inbox(&node.read(SHARD).await.unwrap());
    let reply = node.propose(SHARD, operation(2), append(folder, inline(b"Subject: one\r\n\r\n"))).await.unwrap();
    assert!(matches!(reply, Reply::Appended { uids, .. } if uids == UidSet::from_iter([1])));
    assert!(
        matches!(watcher.next().await, Some(Notice::Changed(Change::Folder { folder: changed, .. })) if changed == folder)
    );
    assert_eq!(uids(&node.read(SHARD).await.unwrap(), folder), [1]);
    assert_eq!(uids(&node.read_stale(SHARD).unwrap(), folder), [1]);
    let status = node.status();
    assert!(status.is_available());
    assert_eq!(status.groups.len() as u32, model::limits::SHARDS + 1);
    assert!(status.groups.iter().all(|group| group.role == Role::Leader && group.replicas.len() == 1));
    assert_eq!((node.metrics().proposals, node.metrics().reads_by_message), (2, 0));
    stop(node).await;
    assert_eq!(watcher.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_acts_once_and_hears_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    node.propose(SHARD, operation(1), create_account(ACCOUNT)).await.unwrap();
    let folder = inbox(&node.read(SHARD).await.unwrap());
    let command = || append(folder, inline(b"Subject: again\r\n\r\n"));
    let first = node.propose(SHARD, operation(2), command()).await;
    assert_eq!(node.propose(SHARD, operation(2), command()).await, first);
    stop(node).await;
    let node = start(directory.path()).await;
    assert_eq!(node.propose(SHARD, operation(2), command()).await, first);
    assert_eq!(uids(&node.read(SHARD).await.unwrap(), folder), [1]);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything_and_replicas_keep_their_ids() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    for number in 0..20 {
        node.propose(GroupId::DIRECTORY, operation(number), set(&format!("n{number}"), "yes")).await.unwrap();
    }
    let before = node.status();
    stop(node).await;
    let node = start(directory.path()).await;
    let view = node.read(GroupId::DIRECTORY).await.unwrap();
    assert!((0..20).all(|number| setting(&view, &format!("n{number}")).is_some()));
    drop(view);
    let after = node.status();
    assert_eq!(before.ca_fingerprint, after.ca_fingerprint);
    for (before, after) in before.groups.iter().zip(&after.groups) {
        assert_eq!((before.group, before.replica), (after.group, after.replica));
        assert!(after.term > before.term, "a restarted leader is elected again");
    }
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let (started, begun) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let proposer = node.clone();
    let proposing = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for number in 0.. {
            match proposer.propose(GroupId::DIRECTORY, operation(number), set(&format!("n{number}"), "yes")).await {
                Ok(_) => acknowledged.push(number),
                Err(error) => return (acknowledged, error),
            }
            if number == 10 {
                started.take().unwrap().send(()).unwrap();
            }
        }
        unreachable!("the loop ends with the node")
    });
    begun.await.unwrap();
    node.shutdown().await;
    let (acknowledged, error) = proposing.await.unwrap();
    assert_eq!(error, ProposeError::Stopped);
    stop(node).await;
    let node = start(directory.path()).await;
    let view = node.read(GroupId::DIRECTORY).await.unwrap();
    assert!(acknowledged.iter().all(|number| setting(&view, &format!("n{number}")).is_some()));
    drop(view);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_bounded_and_what_it_said_stays() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let (tasks, each) = (100, 100);
    let proposing = (0..tasks).map(|task| {
        let node = node.clone();
        tokio::spawn(async move {
            for number in 0..each {
                let name = format!("n{}", task * each + number);
                let id = operation(task * each + number);
                node.propose(GroupId::DIRECTORY, id, set(&name, "yes")).await.unwrap();
            }
        })
    });
    for task in proposing.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let directory_group = || node.status().groups.swap_remove(0);
    // The bound is soft by what was appended while the last snapshot was made: wait for that one to end.
    while directory_group().log_entries > cluster::limits::LOG_ENTRIES_MAX {
        tokio::task::yield_now().await;
    }
    let group = directory_group();
    assert!(group.purged.is_some() && group.snapshot >= group.purged, "{group:?}");
    stop(node).await;
    let node = start(directory.path()).await;
    let view = node.read(GroupId::DIRECTORY).await.unwrap();
    assert!((0..tasks * each).all(|number| setting(&view, &format!("n{number}")).is_some()));
    assert!(node.status().groups[0].log_entries <= cluster::limits::LOG_ENTRIES_MAX + 1);
    drop(view);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_over_the_bound_is_refused_and_disturbs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let huge = "x".repeat(cluster::limits::ENTRY_BYTES_MAX);
    let refused = node.propose(GroupId::DIRECTORY, operation(1), set("n", &huge)).await;
    assert!(matches!(refused, Err(ProposeError::TooLarge { bytes }) if bytes > huge.len()));
    assert_eq!(node.propose(GroupId::DIRECTORY, operation(1), set("n", "small")).await, Ok(Reply::Done));
    let none = node.propose(GroupId(99), operation(2), set("n", "small")).await;
    assert_eq!(none, Err(ProposeError::NotLeader { hint: None }));
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn placement_follows_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let domain = DirectoryCommand::AddDomain { name: "example.org".into() };
    node.propose(GroupId::DIRECTORY, operation(1), Command::Directory(domain)).await.unwrap();
    let scram = ScramKeys { salt: Vec::new(), iterations: 1, stored_key: [0; 32], server_key: [0; 32] };
    let credentials = Credentials { argon2: String::new(), scram };
    let address = "ann@example.org".to_string();
    let add = DirectoryCommand::AddAccount { address: address.clone(), shard: SHARD, credentials, admin: false };
    let reply = node.propose(GroupId::DIRECTORY, operation(2), Command::Directory(add)).await.unwrap();
    let Reply::Account(account) = reply else { panic!("{reply:?}") };
    assert_eq!(node.placement(account).await, Ok(Some(SHARD)));
    assert_eq!(node.placement(account).await, Ok(Some(SHARD)));
    let remove = DirectoryCommand::RemoveAccount { address };
    node.propose(GroupId::DIRECTORY, operation(3), Command::Directory(remove)).await.unwrap();
    assert_eq!(node.placement(account).await, Ok(None));
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lost_its_log_is_not_started_as_if_it_were_new() {
    let directory = tempfile::tempdir().unwrap();
    stop(start(directory.path()).await).await;
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join("identity"), elsewhere.path().join("identity")).unwrap();
    let store = open_store(elsewhere.path());
    let started = cluster::Cluster::start(StartOptions::alone(store, "one")).await;
    assert!(matches!(started.err(), Some(StartError::ReplicaLost { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_on_a_leader_alone_never_ask_the_consensus_task() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let value = AtomicU64::new(0);
    for number in 1..50 {
        node.propose(GroupId::DIRECTORY, operation(number), set("n", &number.to_string())).await.unwrap();
        value.store(number, Ordering::Relaxed);
        let view = node.read(GroupId::DIRECTORY).await.unwrap();
        assert_eq!(setting(&view, "n"), Some(value.load(Ordering::Relaxed).to_string()));
    }
    // The node itself reads, too: whether the directory knows it.
    assert!(node.metrics().reads >= 49);
    assert_eq!(node.metrics().reads_by_message, 0);
    stop(node).await;
}
