//! Tests of leases: a leader whose quorum is gone acknowledges nothing and says so, and whoever is in its quorum keeps to that
//! over a restart (I10).

use crate::error::{ProposeError, ReadError};
use crate::limits::ELECTION_TIMEOUT_MAX;
use crate::raft::codec;
use crate::raft::completion::completed;
use crate::raft::parts::{Origin, Parts, Shared};
use crate::raft::replica::Replica;
use crate::raft::types::{Member, Proposal, Vote};
use crate::runtime::Instant;
use crate::testing;
use model::directory::DirectoryCommand;
use model::{Command, Entry, GroupId, NodeId, OperationId, Reply};
use openraft::ChangeMembers;
use std::collections::BTreeSet;
use std::time::Duration;

async fn propose(replica: &Replica, number: u8, patience: Duration) -> Result<Reply, ProposeError> {
    let command = DirectoryCommand::SetSetting { name: "n".into(), value: Some(number.to_string()) };
    let operation = OperationId::new(1, [number; 10]);
    let proposal = Proposal::new(Entry { operation, proposed_at: 1, command: Command::Directory(command) });
    replica.propose(proposal, Instant::now() + patience).await.map(|(reply, _)| reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_its_quorum_acknowledges_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = testing::open_store(directory.path());
    let parts = Parts::open(&store, NodeId(1), GroupId::DIRECTORY, 1, &Shared::default()).unwrap();
    let replica = Replica::start(&parts, Origin::Founder).await.unwrap();
    let watched = replica.clone();
    let watching = tokio::spawn(async move { watched.ended().await });
    assert_eq!(propose(&replica, 1, Duration::from_secs(60)).await, Ok(Reply::Done));
    assert_eq!(replica.barrier().await, Ok(false));
    let other = Member { node: NodeId(2), address: "elsewhere:7025".into() };
    replica.raft().add_learner(2, other, false).await.unwrap();
    let changing = replica.raft().clone();
    let voters = ChangeMembers::AddVoterIds(BTreeSet::from([2]));
    let change = tokio::spawn(async move { changing.change_membership(voters, false).await.is_ok() });
    // The joint configuration is in force as soon as it is in the log, and its other voter is nowhere.
    while replica.status(GroupId::DIRECTORY).replicas.iter().filter(|replica| replica.voter).count() < 2 {
        tokio::task::yield_now().await;
    }
    let mut number = 1;
    let refused = loop {
        number += 1;
        match propose(&replica, number, Duration::from_millis(100)).await {
            Err(ProposeError::Unknown) => {}
            other => break other,
        }
    };
    assert_eq!(refused, Err(ProposeError::Unavailable), "once its lease has run out it takes no more");
    assert_eq!(replica.barrier().await, Err(ReadError::Unavailable));
    let rows = parts.state.read().unwrap();
    let value = model::directory::view::setting(&rows, "n").unwrap();
    assert_eq!(value.as_deref(), Some("1"), "nothing is applied that has no quorum");
    replica.stop().await;
    assert!(!change.await.unwrap());
    assert_eq!(watching.await.unwrap(), "raft stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_last_voted_for_another_takes_no_part_until_that_ones_lease_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = testing::open_store(directory.path());
    let parts = Parts::open(&store, NodeId(2), GroupId::DIRECTORY, 2, &Shared::default()).unwrap();
    let vote = codec::encode(&Vote::new_committed(1, 1));
    completed(|done| parts.log.save_vote(vote, done)).await.unwrap();
    let replica = Replica::start(&parts, Origin::Joiner).await.unwrap();
    assert!(parts.opened.elapsed() >= ELECTION_TIMEOUT_MAX);
    replica.stop().await;
}
