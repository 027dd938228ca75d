//! The life of a queue message: enqueue, claim, report, done.

mod common;

use common::{Group, body};
use model::queue::row::{Content, DsnEnvelope, Lease, Notify, Progress, QueueRecipient, QueueRow};
use model::queue::{Attempt, NewQueued, QueueCommand, view};
use model::{BodyHash, Command, GroupId, MessageId, NodeId, OperationId, Refusal, Reply};

const ID: MessageId = OperationId([1; 16]);

fn recipient(address: &str) -> QueueRecipient {
    let progress = Progress::Pending;
    QueueRecipient {
        address: address.into(),
        original: None,
        notify: Notify::default(),
        progress,
        last_text: String::new(),
    }
}

fn queued(id: MessageId, recipients: &[&str]) -> NewQueued {
    let row = QueueRow {
        sender: "ann@example.org".into(),
        dsn: DsnEnvelope::default(),
        content: Content::default(),
        accepted_at: 100,
        expires_at: 10_000,
        next_attempt_at: 100,
        attempts: 0,
        delay_told: false,
        hash: BodyHash([0; 32]),
        size: 0,
        lease: None,
        recipients: recipients.iter().map(|address| recipient(address)).collect(),
    };
    NewQueued { message: id, body: body(1), row }
}

fn queue(shard: &mut Group, command: QueueCommand) -> Reply {
    shard.apply(Command::Queue(command)).reply
}

fn claim(shard: &mut Group, holder: u64, until: u64) -> Reply {
    queue(shard, QueueCommand::Claim { messages: vec![ID], lease: Lease { holder: NodeId(holder), until } })
}

fn report(shard: &mut Group, holder: u64, attempts: Vec<(u32, Progress)>) -> Reply {
    let attempts =
        attempts.into_iter().map(|(recipient, progress)| Attempt { recipient, progress, text: "x".repeat(5000) });
    let command = QueueCommand::Report {
        message: ID,
        holder: NodeId(holder),
        attempts: attempts.collect(),
        next_attempt_at: 900,
        delay_told: false,
        notices: vec![],
    };
    queue(shard, command)
}

#[test]
fn a_message_is_due_claimed_reported_and_gone() {
    let mut shard = Group::new(GroupId(1));
    assert_eq!(queue(&mut shard, QueueCommand::Enqueue(vec![queued(ID, &["a@x", "b@y"])])), Reply::Done);
    assert_eq!(view::due(&shard.rows, 99, 10).unwrap(), (vec![], Some(100)));
    assert_eq!(view::due(&shard.rows, 100, 10).unwrap(), (vec![ID], None));
    let until = 1_900_000_000_000;
    assert_eq!(claim(&mut shard, 1, until), Reply::Claimed(vec![ID]));
    assert_eq!(claim(&mut shard, 2, until), Reply::Claimed(vec![]));
    assert_eq!(view::due(&shard.rows, 100, 10).unwrap(), (vec![], Some(until)));
    assert_eq!(report(&mut shard, 2, vec![(0, Progress::Delivered)]), Reply::Refused(Refusal::Cannot));
    assert_eq!(report(&mut shard, 1, vec![(0, Progress::Delivered), (7, Progress::Failed)]), Reply::Done);
    let row = view::message(&shard.rows, ID).unwrap().unwrap();
    assert_eq!((row.attempts, row.next_attempt_at, row.recipients[0].last_text.len()), (1, 900, 1000));
    assert_eq!((row.recipients[0].progress, row.recipients[1].progress), (Progress::Delivered, Progress::Pending));
    claim(&mut shard, 1, until);
    report(&mut shard, 1, vec![(1, Progress::Failed)]);
    assert_eq!(view::message(&shard.rows, ID).unwrap(), None);
    assert_eq!(view::due(&shard.rows, u64::MAX, 10).unwrap(), (vec![], None));
}

#[test]
fn a_lease_that_ended_can_be_claimed_by_another() {
    let mut shard = Group::new(GroupId(1));
    queue(&mut shard, QueueCommand::Enqueue(vec![queued(ID, &["a@x"])]));
    claim(&mut shard, 1, 500);
    assert_eq!(claim(&mut shard, 2, 1_900_000_000_000), Reply::Claimed(vec![ID]));
    assert_eq!(report(&mut shard, 1, vec![(0, Progress::Delivered)]), Reply::Refused(Refusal::Cannot));
}

#[test]
fn an_operator_can_hurry_and_remove() {
    let mut shard = Group::new(GroupId(1));
    queue(&mut shard, QueueCommand::Enqueue(vec![queued(ID, &["a@x"])]));
    assert_eq!(queue(&mut shard, QueueCommand::Retry { message: ID }), Reply::Done);
    assert_eq!(view::list(&shard.rows, None, 5).unwrap().len(), 1);
    assert_eq!(view::list(&shard.rows, Some(ID), 5).unwrap().len(), 0);
    assert_eq!(queue(&mut shard, QueueCommand::Remove { message: ID }), Reply::Done);
    assert_eq!(queue(&mut shard, QueueCommand::Remove { message: ID }), Reply::Refused(Refusal::NotFound));
    assert!(shard.rows.rows().keys().all(|key| key[0] == b'O'));
}

#[test]
fn nobody_to_send_to_is_refused() {
    let mut shard = Group::new(GroupId(1));
    assert_eq!(queue(&mut shard, QueueCommand::Enqueue(vec![queued(ID, &[])])), Reply::Refused(Refusal::Limit));
}
