//! Tests on one node: what is decided, and that a recovery that was cut short is finished by repeating it. Those with
//! several nodes are in `cluster/tests/recovery.rs`.

use super::*;
use crate::identity::Stage;
use crate::start::StartOptions;
use crate::testing::open_store;
use crate::{Cluster, ProposeError};
use model::directory::DirectoryCommand;
use model::directory::row::{Credentials, ScramKeys};
use model::mailbox::MailboxCommand;
use model::{AccountId, Command, OperationId, Reply};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tempfile::TempDir;

const KEPT: GroupId = GroupId(3);
const LOST: GroupId = GroupId(5);
const NOW: UnixMillis = 2_000_000_000_000;

async fn start(data: &Path) -> Cluster {
    Cluster::start(StartOptions::alone(open_store(data), "one")).await.unwrap()
}

async fn stop(cluster: Cluster) {
    cluster.shutdown().await;
    let store = cluster.store().clone();
    drop(cluster);
    crate::runtime::blocking(move || store.close().unwrap()).await.unwrap();
}

async fn propose(cluster: &Cluster, group: GroupId, command: Command) -> Result<Reply, ProposeError> {
    static NUMBER: AtomicU8 = AtomicU8::new(0);
    let operation = OperationId::new(1, [NUMBER.fetch_add(1, Relaxed); 10]);
    cluster.propose(group, operation, command).await
}

async fn add_account(cluster: &Cluster, address: &str, shard: GroupId) -> AccountId {
    let scram = ScramKeys { salt: vec![1], iterations: 1, stored_key: [0; 32], server_key: [0; 32] };
    let credentials = Credentials { argon2: "x".into(), scram };
    let domain = DirectoryCommand::AddDomain { name: "example.org".into() };
    propose(cluster, GroupId::DIRECTORY, Command::Directory(domain)).await.unwrap();
    let add = DirectoryCommand::AddAccount { address: address.into(), shard, credentials, admin: false };
    let account = match propose(cluster, GroupId::DIRECTORY, Command::Directory(add)).await {
        Ok(Reply::Account(account)) => account,
        other => panic!("{other:?}"),
    };
    make_mailbox(cluster, shard, account).await;
    account
}

async fn make_mailbox(cluster: &Cluster, shard: GroupId, account: AccountId) {
    let create = MailboxCommand::CreateAccount { account, address: format!("u{}@example.org", account.0) };
    assert_eq!(propose(cluster, shard, Command::Mailbox(create)).await, Ok(Reply::Done));
}

/// The UIDVALIDITY of an account's INBOX.
async fn inbox(cluster: &Cluster, shard: GroupId, account: AccountId) -> Option<u32> {
    let rows = cluster.read_stale(shard).unwrap();
    model::mailbox::view::folder_by_name(&rows, account, "INBOX").unwrap().map(|folder| folder.row.uidvalidity)
}

/// A stopped node with one account in [`KEPT`], and one in [`LOST`], of which it has no copy.
async fn stopped() -> (TempDir, AccountId, AccountId) {
    let data = tempfile::tempdir().unwrap();
    let node = start(data.path()).await;
    let kept = add_account(&node, "kept@example.org", KEPT).await;
    let lost = add_account(&node, "lost@example.org", LOST).await;
    stop(node).await;
    let store = open_store(data.path());
    store.erase(LOST).unwrap();
    let mut identity = Identity::load(&store).unwrap().unwrap();
    identity.replicas.remove(&LOST);
    identity.save(&store).unwrap();
    store.close().unwrap();
    (data, kept, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_here_goes_on_and_what_is_not_begins_empty() {
    let (data, kept, lost) = stopped().await;
    let store = open_store(data.path());
    let report = examine(&store).unwrap();
    assert_eq!((report.name.as_str(), report.is_begun, report.groups.len()), ("one", false, 33));
    let lacking: Vec<_> = report.lost().collect();
    assert_eq!(
        (lacking.len(), &lacking[0].group, &lacking[0].accounts[..]),
        (1, &LOST, &["lost@example.org".into()][..])
    );
    assert!(!report.nothing_is_lost());
    assert!(report.copies().all(|(_, copy)| copy.has_everything && copy.is_voter && copy.is_listed));
    assert_eq!(examine(&store).unwrap(), report, "looking changes nothing");
    assert_eq!(recover(&store, NOW).unwrap(), report);
    store.close().unwrap();
    drop(store);

    let node = start(data.path()).await;
    let replicas: BTreeMap<_, _> = node.status().groups.iter().map(|group| (group.group, group.replica)).collect();
    assert_eq!(replicas.len(), 33);
    assert!(report.copies().all(|(group, copy)| replicas[&group] > copy.replica), "every id is new");
    assert!(node.status().is_available());
    assert!(inbox(&node, KEPT, kept).await.is_some());
    assert_eq!(inbox(&node, LOST, lost).await, None);
    make_mailbox(&node, LOST, lost).await;
    let recovered = node.recovered().await.unwrap().unwrap();
    assert_eq!((recovered.at, recovered.node), (NOW, node.node()));
    assert_eq!(recovered.accounts, [("lost@example.org".to_string(), NOW)]);
    let next = add_account(&node, "next@example.org", KEPT).await;
    assert!(next.0 > lost.0 + 1_000, "the others may have given ids away");
    stop(node).await;
    let node = start(data.path()).await;
    assert!(inbox(&node, LOST, lost).await.is_some());
    stop(node).await;
}

/// A group's log records and its vote.
type LogAndVote = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// What a recovery writes: the identity, and each group's log and vote.
fn written(store: &Store) -> (Vec<u8>, BTreeMap<GroupId, LogAndVote>) {
    let log = |group: &GroupId| {
        let log = store.log(*group).unwrap();
        let records = log.read(0..u64::MAX, usize::MAX).unwrap().into_iter().map(|(_, record)| record.to_vec());
        (*group, (records.collect(), log.read_vote().unwrap().map(|vote| vote.to_vec())))
    };
    (store.identity().unwrap().unwrap().to_vec(), store.groups().iter().map(log).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_was_cut_short_anywhere_is_finished_by_repeating_it() {
    let (data, ..) = stopped().await;
    let copied = || {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(data.path(), copy.path());
        copy
    };
    let whole = copied();
    let store = open_store(whole.path());
    let steps = decide(&store, &Identity::load(&store).unwrap().unwrap(), NOW).unwrap().steps().count();
    recover(&store, NOW).unwrap();
    let expected = written(&store);
    store.close().unwrap();
    drop(store);
    assert!(steps > 33);
    // Begun, erased, some groups taken over, all of them, peers forgotten. The steps between are like their neighbours.
    for done in [1, 2, 3, 17, steps - 2, steps - 1] {
        let cut = copied();
        let store = open_store(cut.path());
        carry_out(&store, NOW, done).unwrap();
        store.close().unwrap();
        drop(store);
        let store = open_store(cut.path());
        assert!(matches!(Identity::load(&store), Err(StartError::Recovering { .. })), "it does not start");
        assert!(examine(&store).unwrap().is_begun);
        half_of_the_next(&store, done);
        recover(&store, NOW + 1).unwrap();
        assert_eq!(written(&store), expected, "after {done} steps");
        store.close().unwrap();
    }
    let node = start(whole.path()).await;
    assert!(node.status().is_available());
    stop(node).await;
}

/// A crash between the vote and the entries of the next group that is taken over.
fn half_of_the_next(store: &Store, done: usize) {
    let marker = Marker::load(store).unwrap().unwrap();
    if let Some(Step::TakeOver(group)) = marker.steps().nth(done) {
        let vote = vote_of(&marker, group);
        let (sender, receiver) = std::sync::mpsc::channel();
        let saved = move |result| drop(sender.send(result));
        store.log(group).unwrap().save_vote(vote, Box::new(saved));
        receiver.recv().unwrap().unwrap();
    }
}

/// The vote that taking `group` over writes.
fn vote_of(marker: &Marker, group: GroupId) -> bytes::Bytes {
    let data = tempfile::tempdir().unwrap();
    let store = open_store(data.path());
    let log = store.log(group).unwrap();
    let takeover = crate::raft::recover::Takeover { index: 0, ..marker.takeovers[&group].clone() };
    take_over(&log, &takeover, marker.after.node, None).unwrap();
    let vote = log.read_vote().unwrap().unwrap();
    store.close().unwrap();
    vote
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else if entry.file_name() != "ballast" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_node_without_a_directory_of_its_own_is_not_recovered() {
    let data = tempfile::tempdir().unwrap();
    let store = open_store(data.path());
    assert!(matches!(examine(&store), Err(RecoverError::Blank)));
    let mut identity = Identity::admitted(model::NodeId(2));
    identity.take(GroupId::DIRECTORY, 40);
    identity.save(&store).unwrap();
    assert!(matches!(recover(&store, NOW), Err(RecoverError::NoDirectory)));
    assert_eq!(Identity::load(&store).unwrap(), Some(identity), "nothing is begun");
}

#[test]
fn a_replica_that_was_being_erased_is_no_copy() {
    let data = tempfile::tempdir().unwrap();
    let store = open_store(data.path());
    let mut identity = Identity::first(model::limits::SHARDS);
    identity.set_stage(GroupId::DIRECTORY, Stage::Erasing);
    identity.save(&store).unwrap();
    assert!(matches!(examine(&store), Err(RecoverError::NoDirectory)));
}
