//! Tests: bodies that are pushed to the replicas of a group while they arrive.

use crate::exchange::{Push, StagePart, Taken};
use crate::limits::{PUSHES_MAX, PUSHES_TAKEN_MAX};
use crate::raft::world::{World, create_account, inbox_append, patience};
use crate::runtime::{Instant, timeout_at};
use crate::transport::{Duplex, Service};
use bytes::Bytes;
use futures::future::{join_all, select_all};
use model::{BodyHash, BodyRef, NodeId, codec};

const PIECE_BYTES: usize = 100_000;

/// Begins to push from one node to others, with a piece that is large enough to need a file.
async fn begin(world: &World, from: u64, to: &[u64]) -> Push {
    let node = world.node(from);
    let others = to.iter().copied().map(NodeId).collect();
    let mut push = node.parts.wire.pushes.begin(&node.transport, &others);
    push.write(&piece()).await;
    push
}

fn piece() -> Bytes {
    vec![b'x'; PIECE_BYTES].into()
}

/// The message that two pieces make, staged where it arrives.
fn arrived(world: &World, node: u64) -> BodyRef {
    world.message(node, &[piece(), piece()].concat())
}

fn staged(world: &World, node: u64) -> Vec<String> {
    world.node(node).store.disk().list("staging").unwrap()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let late = patience();
    while !is_so() {
        assert!(Instant::now() < late, "never: {what}");
        tokio::task::yield_now().await;
    }
}

async fn until_there(world: &World, node: u64, hash: &BodyHash) {
    let bodies = world.node(node).store.bodies();
    until("the body is there", || bodies.contains(hash).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_fetches_what_was_pushed() {
    let world = World::of_three_voters().await;
    world.propose(1, create_account()).await;
    world.settle().await;
    let mut push = begin(&world, 1, &[2, 3]).await;
    push.write(&piece()).await;
    let body = arrived(&world, 1);
    push.finish(body.hash).await;
    for node in [2, 3] {
        until_there(&world, node, &body.hash).await;
    }
    world.propose(2, inbox_append(&world, 1, body)).await;
    world.settle().await;
    assert_eq!(world.assert_same(), [(1, vec![b'x'; 2 * PIECE_BYTES])]);
    for node in 1..=3 {
        assert_eq!(world.node(node).seen.count(Service::Bodies), 0, "somebody asked node {node} for the body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_while_it_is_pushed_to_fetches_later() {
    let mut world = World::of_three_voters().await;
    world.propose(1, create_account()).await;
    world.settle().await;
    let mut push = begin(&world, 1, &[2, 3]).await;
    until("a part is there", || !staged(&world, 3).is_empty()).await;
    world.kill(3).await;
    push.write(&piece()).await;
    let body = arrived(&world, 1);
    push.finish(body.hash).await;
    until_there(&world, 2, &body.hash).await;
    world.propose(2, inbox_append(&world, 1, body)).await;
    assert_eq!(world.node(1).seen.count(Service::Bodies) + world.node(2).seen.count(Service::Bodies), 0);
    world.start(3).await;
    world.settle().await;
    assert_eq!(world.assert_same(), [(1, vec![b'x'; 2 * PIECE_BYTES])]);
    assert!(world.node(1).seen.count(Service::Bodies) + world.node(2).seen.count(Service::Bodies) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_while_it_pushes_leaves_nothing_behind() {
    let mut world = World::of_three_voters().await;
    let push = begin(&world, 1, &[2, 3]).await;
    for node in [2, 3] {
        until("a part is there", || !staged(&world, node).is_empty()).await;
    }
    world.kill(1).await;
    for node in [2, 3] {
        until("nothing is there", || staged(&world, node).is_empty()).await;
    }
    drop(push);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_leaves_nothing_behind() {
    let world = World::of_three_voters().await;
    let push = begin(&world, 1, &[2]).await;
    until("a part is there", || !staged(&world, 2).is_empty()).await;
    drop(push);
    until("nothing is there", || staged(&world, 2).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_with_another_name_are_refused() {
    let world = World::of_three_voters().await;
    let push = begin(&world, 1, &[2, 3]).await;
    let wrong = BodyHash([7; 32]);
    assert_eq!(push.finish(wrong).await, 0);
    for node in [2, 3] {
        until("nothing is there", || staged(&world, node).is_empty()).await;
        assert!(!world.node(node).store.bodies().contains(&wrong).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_reached_is_passed_over_for_a_while() {
    let mut world = World::of_three_voters().await;
    world.kill(3).await;
    let push = begin(&world, 1, &[2, 3]).await;
    assert_eq!(push.finish(world.message(1, &piece()).hash).await, 1);
    let node = world.node(1);
    let pushes = &node.parts.wire.pushes;
    until("it is avoided", || pushes.is_avoided(NodeId(3))).await;
    assert!(pushes.begin(&node.transport, &[NodeId(3)].into()).is_idle());
    assert!(!pushes.begin(&node.transport, &[NodeId(2)].into()).is_idle());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_pushes_only_so_many_bodies_at_a_time() {
    let world = World::of_three_voters().await;
    let node = world.node(1);
    let (pushes, others) = (&node.parts.wire.pushes, [NodeId(2), NodeId(3)].into());
    let begun: Vec<Push> = (0..PUSHES_MAX).map(|_| pushes.begin(&node.transport, &others)).collect();
    assert!(begun.iter().all(|push| !push.is_idle()));
    assert!(pushes.begin(&node.transport, &others).is_idle(), "one more than the bound");
    drop(begun);
    until("one may be pushed again", || !pushes.begin(&node.transport, &others).is_idle()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_only_so_many_pushed_bodies_at_a_time() {
    let world = World::of_three_voters().await;
    let transport = &world.node(1).transport;
    let open = || transport.open(NodeId(2), Service::Stage, Bytes::new(), patience());
    let opened = join_all((0..=PUSHES_TAKEN_MAX).map(|_| open())).await;
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        opened.into_iter().map(|opened| opened.unwrap()).map(|Duplex { sender, receiver }| (sender, receiver)).unzip();
    let answers = receivers
        .into_iter()
        .enumerate()
        .map(|(number, mut receiver)| Box::pin(async move { (number, receiver.next().await) }));
    let ended = timeout_at(patience(), select_all(answers)).await.expect("one more than the bound is taken");
    let ((refused, answer), _, left) = ended;
    assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
    drop(senders.remove(refused));
    let empty = BodyHash(*blake3::hash(b"").as_bytes());
    for sender in &mut senders {
        sender.send(codec::encode(&StagePart::End(empty)).into()).await.unwrap();
        sender.finish().unwrap();
    }
    for (_, answer) in join_all(left).await {
        assert_eq!(codec::decode::<Taken>(&answer.unwrap().unwrap()).unwrap(), Taken(true));
    }
}
