//! Test: a replica that has nothing takes over another's state by snapshot and goes on from its log.

use crate::raft::parts::{Origin, Parts, Shared};
use crate::raft::replica::Replica;
use crate::raft::types::{Proposal, TypeConfig};
use crate::testing;
use model::mailbox::{MailboxCommand, NewMessage, maildir, view};
use model::{AccountId, Command, Entry, FolderId, GroupId, NodeId, OperationId, Reply, txn};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::storage::RaftLogReader;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use storage::{Bodies, ReadView, Store};

const SHARD: GroupId = GroupId(3);
const ACCOUNT: AccountId = AccountId(1);
const LARGE_BYTES: usize = 100_000;

async fn propose(replica: &Replica, number: u8, command: MailboxCommand) -> Reply {
    let entry = Entry {
        operation: OperationId::new(1, [number; 10]),
        proposed_at: 1_000 * u64::from(number),
        command: Command::Mailbox(command),
    };
    let deadline = crate::runtime::Instant::now() + Duration::from_secs(60);
    replica.propose(Proposal::new(entry), deadline).await.unwrap().0
}

fn append(bodies: &Arc<Bodies>, folder: FolderId, bytes: &[u8]) -> MailboxCommand {
    let mut staged = bodies.stage();
    staged.write(bytes).unwrap();
    let body = staged.finish().unwrap();
    let message = NewMessage { body, flags: 0, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
    MailboxCommand::Append { account: ACCOUNT, folder, messages: vec![message] }
}

fn rows(view: &ReadView) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    txn::scan_prefix(view, b"", &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// Every message of INBOX with the bytes its body has in `store`.
fn messages(store: &Store, view: &ReadView) -> Vec<(u32, Vec<u8>)> {
    let folder = inbox(view);
    let states = view::states(view, ACCOUNT, folder).unwrap();
    let read = |uid| {
        let file = maildir::message_file(view, ACCOUNT, folder, uid).unwrap().unwrap();
        let body = store.bodies().open_body(&file.hash).unwrap();
        let mut bytes = vec![0; body.len() as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += body.read_at(filled as u64, &mut bytes[filled..]).unwrap();
        }
        bytes
    };
    states.iter().map(|state| (state.uid, read(state.uid))).collect()
}

fn inbox(view: &ReadView) -> FolderId {
    view::folder_by_name(view, ACCOUNT, "INBOX").unwrap().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_replica_takes_over_a_snapshot_and_goes_on_from_the_log() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from_store, to_store) = (testing::open_store(here.path()), testing::open_store(there.path()));
    let from = Parts::open(&from_store, NodeId(1), SHARD, 1, &Shared::default()).unwrap();
    let leader = Replica::start(&from, Origin::Founder).await.unwrap();
    propose(&leader, 1, MailboxCommand::CreateAccount { account: ACCOUNT, address: "a@example.org".into() }).await;
    let folder = inbox(&from.state.read().unwrap());
    propose(&leader, 2, append(&from.bodies, folder, b"Subject: small\r\n\r\n")).await;
    propose(&leader, 3, append(&from.bodies, folder, &[b'x'; LARGE_BYTES])).await;
    assert!(leader.compact().await);
    let vote = leader.raft().metrics().borrow_watched().vote;
    let snapshot = leader.raft().get_snapshot().await.unwrap().unwrap();

    let to = Parts::open(&to_store, NodeId(2), SHARD, 2, &Shared::default()).unwrap();
    let follower = Replica::start(&to, Origin::Joiner).await.unwrap();
    let covered = snapshot.meta.last_log_id.unwrap();
    follower.raft().install_full_snapshot(vote, snapshot).await.unwrap();
    assert_eq!(rows(&to.state.read().unwrap()), rows(&from.state.read().unwrap()));

    propose(&leader, 4, append(&from.bodies, folder, b"Subject: after the snapshot\r\n\r\n")).await;
    let last = from.log.last_index().unwrap();
    let mut log = crate::raft::log::Log::open(from.log.clone(), from.bell.clone()).await.unwrap();
    let entries = log.try_get_log_entries(covered.index + 1..=last).await.unwrap();
    let committed = entries.last().map(|entry| entry.log_id);
    let request =
        AppendEntriesRequest::<TypeConfig> { vote, prev_log_id: Some(covered), entries, leader_commit: committed };
    let answer = follower.raft().append_entries(request).await.unwrap();
    assert!(matches!(answer, AppendEntriesResponse::Success), "{answer:?}");
    let wait = follower.raft().wait(Some(Duration::from_secs(60)));
    wait.applied_index(Some(last), "the follower applies what followed").await.unwrap();

    let view = to.state.read().unwrap();
    assert_eq!(rows(&view), rows(&from.state.read().unwrap()));
    let there_now = messages(&to_store, &view);
    assert_eq!(there_now, messages(&from_store, &from.state.read().unwrap()));
    assert_eq!(there_now[1], (2, vec![b'x'; LARGE_BYTES]));
    leader.stop().await;
    follower.stop().await;
}
