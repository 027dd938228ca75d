//! Taking responsibility for a message: one proposal that either delivers it or queues it, and what to tell the client.
//! It decides which of the two; it does not read bodies, resolve addresses or send anything.

mod enqueue;
mod local;

pub use local::{LocalTarget, as_written, local_targets};

use super::propose::propose_until;
use crate::ids;
use crate::limits::ACCEPT_PATIENCE;
use crate::metrics::Metrics;
use crate::queue::Retry;
use cluster::{Clock, Cluster, ProposeError, Push};
use model::directory::view::Target;
use model::queue::QueueCommand;
use model::{BodyRef, Command, GroupId, MessageId, Reply as Applied, UnixMillis};
use protocols::smtp::{EnhancedCode, Mail, Recipient, Reply};
use std::sync::Arc;

/// A message that is complete and staged.
pub struct Message {
    /// Its id from here on, in logs, trace fields, queue and deliveries.
    pub id: MessageId,
    /// When its last byte came.
    pub accepted_at: UnixMillis,
    /// What MAIL said.
    pub mail: Mail,
    /// What RCPT said, and where each leads; at least one.
    pub recipients: Vec<Resolved>,
    /// Its bytes with Return-Path, when a recipient is local.
    pub local_body: Option<BodyRef>,
    /// Its bytes without Return-Path, when a recipient is not.
    pub outside_body: Option<BodyRef>,
}

/// A recipient and the places its address leads to, at least one.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// As the client gave it.
    pub recipient: Recipient,
    /// Mailboxes here and addresses outside.
    pub targets: Vec<Target>,
}

/// Who wants to know what became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// One answer for all (SMTP): what fails for some is left to the queue, which reports it to the sender.
    One,
    /// One per recipient (LMTP, RFC 2033 section 4.2).
    Each,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Delivery {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    retry: Retry,
    metrics: Arc<Metrics>,
}

impl Delivery {
    /// `retry` says for how long queued messages are tried.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>, retry: Retry, metrics: Arc<Metrics>) -> Self {
        Delivery { cluster, clock, retry, metrics }
    }

    /// Takes responsibility. When this returns `Ok` for a recipient the message is durable (I1).
    ///
    /// Answers for every recipient in order, or with [`Answers::One`] once. `Err` holds a 4xx or 5xx reply.
    pub async fn accept(&self, message: &Message, answers: Answers) -> Vec<Result<(), Reply>> {
        let results = match self.direct(&message.mail, &message.recipients).await {
            Ok(Some((shard, targets))) => self.deliver_directly(message, shard, &targets, answers).await,
            Ok(None) => self.enqueue(message, |_| true).await.map(|()| vec![Ok(()); message.recipients.len()]),
            Err(reply) => Err(reply),
        };
        let taken = results.as_ref().is_ok_and(|results| results.iter().any(Result::is_ok));
        let count = if taken { &self.metrics.messages_accepted } else { &self.metrics.messages_refused };
        count.increment();
        match (results, answers) {
            (Ok(results), Answers::Each) => results,
            (Ok(results), Answers::One) => vec![results.into_iter().find(Result::is_err).unwrap_or(Ok(()))],
            (Err(reply), Answers::Each) => vec![Err(reply); message.recipients.len()],
            (Err(reply), Answers::One) => vec![Err(reply)],
        }
    }

    /// Begins to send a body to the nodes that will hold it, while the rest of it arrives: to those of the shard that
    /// [`Self::accept`] will name for such a message, as far as that can be known before it is complete.
    pub async fn push(&self, message: MessageId, mail: &Mail, recipients: &[Resolved]) -> Push {
        let shard = match self.direct(mail, recipients).await {
            Ok(Some((shard, _))) => shard,
            _ => self.queue_shard(message),
        };
        self.cluster.push(shard).await
    }

    /// The one shard all recipients live in, and their mailboxes; `None` when the queue is needed.
    async fn direct(&self, mail: &Mail, recipients: &[Resolved]) -> Result<Option<(GroupId, Vec<LocalTarget>)>, Reply> {
        let reports_success = mail.sender.is_some()
            && recipients.iter().any(|to| to.recipient.notify.is_some_and(|notify| notify.success));
        let Some(targets) = local_targets(recipients.iter().flat_map(|to| &to.targets)) else {
            return Ok(None);
        };
        let mut shard = None;
        for target in &targets {
            let here = self.shard_of(target).await?;
            if *shard.get_or_insert(here) != here {
                return Ok(None);
            }
        }
        Ok(shard.filter(|_| !reports_success).map(|shard| (shard, targets)))
    }

    async fn deliver_directly(
        &self,
        message: &Message,
        shard: GroupId,
        targets: &[LocalTarget],
        answers: Answers,
    ) -> Result<Vec<Result<(), Reply>>, Reply> {
        let Some(body) = &message.local_body else { return Err(unavailable()) };
        let outcome = self.deliver_in(shard, message.id, message.id, body, targets).await?;
        let of_target = |target: &Target| match target {
            Target::Account { account, .. } => {
                let place = targets.iter().position(|local| local.account == *account);
                place.and_then(|place| outcome.get(place).cloned()).unwrap_or_else(|| Err(unavailable()))
            }
            Target::Outside(_) => Err(unavailable()),
        };
        let results: Vec<Result<(), Reply>> =
            message.recipients.iter().map(|to| to.targets.iter().try_for_each(of_target)).collect();
        let some_failed = results.iter().any(Result::is_err) && results.iter().any(Result::is_ok);
        if answers == Answers::Each || !some_failed {
            return Ok(results);
        }
        // One answer cannot say both: the queue tries those that failed, and tells the sender.
        self.enqueue(message, |place| results.get(place).is_some_and(Result::is_err)).await?;
        Ok(vec![Ok(()); results.len()])
    }

    /// Queues the recipients whose place is `wanted`: all or none.
    async fn enqueue(&self, message: &Message, wanted: impl Fn(usize) -> bool) -> Result<(), Reply> {
        let queued = enqueue::rows(message, wanted, &self.retry);
        let whole = queued.iter().map(|new| new.row.recipients.len()).sum::<usize>() >= message.recipients.len();
        let operation = if whole { message.id } else { ids::operation(self.clock.now()) };
        let command = Command::Queue(QueueCommand::Enqueue(queued));
        let shard = self.queue_shard(message.id);
        match propose_until(&self.cluster, shard, operation, command, ACCEPT_PATIENCE).await {
            Ok(Applied::Done) => Ok(()),
            Ok(_) => Err(Reply::new(452, EnhancedCode::new(4, 5, 3), "Too many recipients")),
            Err(error) => Err(refusal(&error)),
        }
    }

    fn queue_shard(&self, message: MessageId) -> GroupId {
        shard_for(message, |shard| self.cluster.leads(shard))
    }
}

/// The shard whose queue takes a message: one led here if there is one, which the id chooses, so that messages spread
/// evenly. Once chosen it stays: a proposal whose outcome is unknown must not be made to another.
fn shard_for(message: MessageId, leads: impl Fn(GroupId) -> bool) -> GroupId {
    let all: Vec<GroupId> = GroupId::shards().collect();
    let led: Vec<GroupId> = all.iter().copied().filter(|shard| leads(*shard)).collect();
    let choice = if led.is_empty() { all } else { led };
    choice.get(usize::from(message.0[14]) % choice.len()).copied().unwrap_or(GroupId(1))
}

/// What a client is told of a proposal that was not carried out, or perhaps was.
fn refusal(error: &ProposeError) -> Reply {
    match error {
        ProposeError::TooLarge { .. } => Reply::new(452, EnhancedCode::new(4, 5, 3), "Too many recipients at once"),
        _ => unavailable(),
    }
}

/// I10: nothing is acknowledged that is not certain.
fn unavailable() -> Reply {
    Reply::new(451, EnhancedCode::new(4, 4, 0), "The message cannot be stored now, try again later")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_messages_go_to_shards_led_here_and_spread_over_them() {
        let message = |number: u8| MessageId::new(1, [number; 10]);
        let chosen = |leads: fn(GroupId) -> bool| (0..=255).map(|n| shard_for(message(n), leads)).collect::<Vec<_>>();
        let led = chosen(|shard| shard.0 % 8 == 0);
        assert!(led.iter().all(|shard| shard.0 % 8 == 0));
        assert_eq!(led.iter().filter(|shard| shard.0 == 8).count(), 64);
        assert_eq!(chosen(|_| false).iter().filter(|shard| shard.0 == 8).count(), 8);
    }
}
