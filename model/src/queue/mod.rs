//! The mail queue of one shard: accepted messages on their way elsewhere, with the state of every recipient.
//!
//! The proposer (the shard's leader) decides when and how to try; these rules keep what it decided.

pub mod row;
pub mod view;

use crate::apply::{Change, Outcome, Touch};
use crate::body::{BodyHash, BodyRef};
use crate::codec;
use crate::ids::{MessageId, NodeId, UnixMillis};
use crate::key;
use crate::limits::{RECIPIENTS_MAX, REPLY_TEXT_BYTES_MAX};
use crate::reply::{Refusal, Reply};
use crate::txn::{Read, ReadError, Txn};
use row::{Lease, Progress, QueueRecipient, QueueRow};
use serde::{Deserialize, Serialize};

/// One accepted message to queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewQueued {
    /// Its id.
    pub message: MessageId,
    /// Its bytes.
    pub body: BodyRef,
    /// Its envelope and recipients, all pending.
    pub row: QueueRow,
}

/// What one attempt found for one recipient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Place in [`QueueRow::recipients`].
    pub recipient: u32,
    /// How it stands now.
    pub progress: Progress,
    /// The last thing a server said, or what went wrong on the way; cut to a bound.
    pub text: String,
}

/// A decision about queue messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum QueueCommand {
    /// Accepts messages: all or none.
    Enqueue(Vec<NewQueued>),
    /// Before a delivery worker connects: nobody else tries these until the lease ends or a report comes.
    Claim {
        /// Which; those gone or leased elsewhere are passed over.
        messages: Vec<MessageId>,
        /// Who, and until when.
        lease: Lease,
    },
    /// After an attempt.
    Report {
        /// Which.
        message: MessageId,
        /// The claim under which it was tried; a report under a lost claim changes nothing.
        holder: NodeId,
        /// What happened, per recipient tried.
        attempts: Vec<Attempt>,
        /// When to try the pending ones again.
        next_attempt_at: UnixMillis,
        /// Whether the notices tell the sender of a delay, so that no later attempt does again.
        delay_told: bool,
        /// Reports to senders that this attempt gave rise to.
        notices: Vec<NewQueued>,
    },
    /// An operator's word: try now.
    Retry {
        /// Which.
        message: MessageId,
    },
    /// An operator's word: forget it, tell nobody.
    Remove {
        /// Which.
        message: MessageId,
    },
}

impl QueueCommand {
    /// The bodies this command names.
    pub fn bodies(&self) -> Vec<&BodyRef> {
        match self {
            QueueCommand::Enqueue(new) => new.iter().map(|new| &new.body).collect(),
            QueueCommand::Report { notices, .. } => notices.iter().map(|new| &new.body).collect(),
            _ => Vec::new(),
        }
    }
}

/// The body a queue message holds on to; `None` when it is done.
pub fn body_of(from: &dyn Read, message: MessageId) -> Result<Option<(BodyHash, u64)>, ReadError> {
    Ok(view::message(from, message)?.map(|row| (row.hash, row.size)))
}

/// Carries out one queue command.
pub fn apply(
    txn: &mut dyn Txn,
    now: UnixMillis,
    command: &QueueCommand,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    match command {
        QueueCommand::Enqueue(new) => enqueue(txn, new, outcome),
        QueueCommand::Claim { messages, lease } => claim(txn, now, messages, lease),
        QueueCommand::Report { message, holder, attempts, next_attempt_at, delay_told, notices } => {
            let Some(mut row) = view::message(txn, *message)? else {
                return Ok(Reply::Refused(Refusal::NotFound));
            };
            if row.lease.as_ref().is_none_or(|lease| lease.holder != *holder) {
                return Ok(Reply::Refused(Refusal::Cannot));
            }
            row.delay_told |= *delay_told;
            report(txn, *message, row, attempts, *next_attempt_at, outcome);
            enqueue(txn, notices, outcome)
        }
        QueueCommand::Retry { message } => retry(txn, now, *message, outcome),
        QueueCommand::Remove { message } => remove(txn, *message, outcome),
    }
}

fn enqueue(txn: &mut dyn Txn, new: &[NewQueued], outcome: &mut Outcome) -> Result<Reply, ReadError> {
    let fits = |new: &NewQueued| (1..=RECIPIENTS_MAX).contains(&new.row.recipients.len());
    if !new.iter().all(fits) {
        return Ok(Reply::Refused(Refusal::Limit));
    }
    for NewQueued { message, body, row } in new {
        let row = QueueRow { hash: body.hash, size: body.size, lease: None, ..row.clone() };
        put(txn, *message, &row);
        outcome.touched.push(Touch::Queue(*message));
    }
    if !new.is_empty() {
        outcome.changes.push(Change::Queue);
    }
    Ok(Reply::Done)
}

fn claim(txn: &mut dyn Txn, now: UnixMillis, messages: &[MessageId], lease: &Lease) -> Result<Reply, ReadError> {
    let mut claimed = Vec::new();
    for message in messages {
        let Some(mut row) = view::message(txn, *message)? else { continue };
        let elsewhere = row.lease.as_ref().is_some_and(|held| held.holder != lease.holder && held.until > now);
        if elsewhere {
            continue;
        }
        txn.delete(&key::due(row.due_at(), *message));
        row.lease = Some(lease.clone());
        put(txn, *message, &row);
        claimed.push(*message);
    }
    Ok(Reply::Claimed(claimed))
}

fn report(
    txn: &mut dyn Txn,
    message: MessageId,
    mut row: QueueRow,
    attempts: &[Attempt],
    next_attempt_at: UnixMillis,
    outcome: &mut Outcome,
) {
    txn.delete(&key::due(row.due_at(), message));
    for attempt in attempts {
        if let Some(recipient) = row.recipients.get_mut(attempt.recipient as usize) {
            note_attempt(recipient, attempt);
        }
    }
    row.lease = None;
    row.attempts += 1;
    row.next_attempt_at = next_attempt_at;
    if row.recipients.iter().any(|recipient| recipient.progress.is_pending()) {
        put(txn, message, &row);
        outcome.changes.push(Change::Queue);
    } else {
        txn.delete(&key::queued(message));
        outcome.touched.push(Touch::Queue(message));
    }
}

fn note_attempt(recipient: &mut QueueRecipient, attempt: &Attempt) {
    recipient.progress = attempt.progress;
    let mut text = attempt.text.clone();
    let mut end = REPLY_TEXT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    recipient.last_text = text;
}

fn retry(txn: &mut dyn Txn, now: UnixMillis, message: MessageId, outcome: &mut Outcome) -> Result<Reply, ReadError> {
    let Some(mut row) = view::message(txn, message)? else {
        return Ok(Reply::Refused(Refusal::NotFound));
    };
    if row.lease.as_ref().is_some_and(|lease| lease.until > now) {
        return Ok(Reply::Refused(Refusal::Cannot));
    }
    txn.delete(&key::due(row.due_at(), message));
    row.lease = None;
    row.next_attempt_at = now;
    put(txn, message, &row);
    outcome.changes.push(Change::Queue);
    Ok(Reply::Done)
}

fn remove(txn: &mut dyn Txn, message: MessageId, outcome: &mut Outcome) -> Result<Reply, ReadError> {
    let Some(row) = view::message(txn, message)? else {
        return Ok(Reply::Refused(Refusal::NotFound));
    };
    txn.delete(&key::due(row.due_at(), message));
    txn.delete(&key::queued(message));
    outcome.touched.push(Touch::Queue(message));
    Ok(Reply::Done)
}

fn put(txn: &mut dyn Txn, message: MessageId, row: &QueueRow) {
    txn.put(&key::queued(message), &codec::encode(row));
    txn.put(&key::due(row.due_at(), message), &[]);
}
