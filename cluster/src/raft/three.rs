//! Tests: one group on three nodes of one process.

use crate::raft::types::Member;
use crate::raft::world::{ACCOUNT, SHARD, World, append_to, create_account, patience, replica_on};
use crate::runtime::Instant;
use crate::transport::Service;
use model::mailbox::MailboxCommand;
use model::mailbox::row::flag;
use model::{FolderId, NodeId};

const LARGE_BYTES: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_agree_hand_over_and_outlive_their_leader() {
    let mut world = World::of_three_voters().await;
    world.propose(1, create_account()).await;
    for number in 0..20_u16 {
        world.propose(10 + number, world.append(1, format!("Subject: {number}\r\n\r\n").as_bytes())).await;
    }
    world.settle().await;
    assert_eq!(world.assert_same().len(), 20);
    assert!(world.node(2).seen.count(Service::Append) > 0 && world.node(3).seen.count(Service::Append) > 0);
    world.asked(2, Service::Heartbeats).await;
    world.asked(3, Service::Heartbeats).await;

    world.replica(1).transfer(replica_on(2), patience()).await.unwrap();
    assert_eq!(world.leader().await, 2);
    assert_eq!(world.node(2).seen.count(Service::Transfer), 1);
    world.propose(100, world.append(2, b"Subject: after the transfer\r\n\r\n")).await;
    world.settle().await;

    let votes = |world: &World| world.node(1).seen.count(Service::PreVote) + world.node(3).seen.count(Service::PreVote);
    let before = votes(&world);
    world.kill(2).await;
    let leader = world.leader().await;
    assert!(votes(&world) > before, "whoever wants to lead asks for promises first");
    world.propose(101, world.append(leader, b"Subject: after the death\r\n\r\n")).await;
    world.settle().await;
    assert_eq!(world.assert_same().len(), 22);

    world.start(2).await;
    world.settle().await;
    assert_eq!(world.assert_same().len(), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_counts_on_a_follower_only_with_its_body() {
    let world = World::of_three_voters().await;
    world.propose(1, create_account()).await;
    let large = vec![b'x'; LARGE_BYTES];
    world.propose(2, world.append(1, &large)).await;
    world.settle().await;
    assert_eq!(world.assert_same(), [(1, large)]);
    assert!(world.node(1).seen.count(Service::Bodies) >= 2, "both followers asked for the body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_given_the_log_though_a_body_it_names_is_nowhere_any_more() {
    let world = World::three().await;
    world.propose(1, create_account()).await;
    // One that is refused is never put in its place, one that is expunged is put there and taken away.
    let refused = world.message(1, &vec![b'r'; LARGE_BYTES]);
    world.propose(2, append_to(FolderId(77), refused.clone(), 0)).await;
    let expunged = world.message(1, &vec![b'e'; LARGE_BYTES]);
    let folder = world.inbox(1);
    world.propose(3, append_to(folder, expunged.clone(), flag::DELETED)).await;
    world.propose(4, MailboxCommand::Expunge { account: ACCOUNT, folder, uids: None }).await;
    let kept = vec![b'k'; LARGE_BYTES];
    world.propose(5, world.append(1, &kept)).await;
    let store = &world.node(1).store;
    let hex = expunged.hash.to_hex();
    store.disk().unlink(&format!("bodies/{}/{hex}", &hex[..2])).unwrap();
    let late = patience();
    while store.bodies().contains(&refused.hash).unwrap() || store.bodies().contains(&expunged.hash).unwrap() {
        assert!(Instant::now() < late, "the staged bodies stay");
        tokio::task::yield_now().await;
    }
    world.add_learners().await;
    world.settle().await;
    assert_eq!(world.assert_same(), [(2, kept)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_the_log_no_longer_reaches_takes_a_snapshot_with_bodies() {
    let mut world = World::of_three_voters().await;
    world.propose(1, create_account()).await;
    world.propose(2, world.append(1, b"Subject: everybody has it\r\n\r\n")).await;
    world.settle().await;
    let has = world.replica(3).last_log();
    world.kill(3).await;
    let large = vec![b'y'; LARGE_BYTES];
    world.propose(3, world.append(1, &large)).await;
    for number in 0..40_u16 {
        world.propose(10 + number, world.append(1, format!("Subject: {number}\r\n\r\n").as_bytes())).await;
    }
    world.settle().await;
    assert!(world.replica(1).compact().await);
    assert!(world.replica(1).status(SHARD).purged <= has, "what the one that is away needs is kept");
    for node in [1, 2] {
        let replica = world.replica(node);
        assert!(replica.purge(replica.last_log().unwrap()).await);
    }
    world.start(3).await;
    world.settle().await;
    assert_eq!(world.node(3).seen.count(Service::Snapshot), 1);
    let messages = world.assert_same();
    assert_eq!((messages.len(), &messages[1].1), (42, &large));
    world.propose(99, world.append(1, b"Subject: and it goes on\r\n\r\n")).await;
    world.settle().await;
    assert_eq!(world.assert_same().len(), 43);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_snapshot_come_no_faster_than_the_rate() {
    let world = World::three().await;
    world.propose(1, create_account()).await;
    let leader = world.replica(1);
    assert!(leader.compact().await);
    assert!(leader.purge(leader.last_log().unwrap()).await);
    let rate = &world.node(1).parts.wire.catch_up;
    assert!(!rate.is_used(), "there are no bodies that could have been asked for");
    let member = Member { node: NodeId(2), address: String::new() };
    leader.add_learner(replica_on(2), member, patience()).await.unwrap();
    world.asked(2, Service::Snapshot).await;
    let late = patience();
    while !rate.is_used() {
        assert!(Instant::now() < late, "the rate is never asked");
        tokio::task::yield_now().await;
    }
}
