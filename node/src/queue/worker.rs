//! One attempt at one claimed message: local mailboxes and destinations outside, then the report with its notices.
//! It keeps the claim alive while it works and stops before the claim can end. It chooses no message.

use super::conversation::Parcel;
use super::destinations::{Destinations, Turn};
use super::notice::{self, Occasion};
use super::plan::{Notice, NoticeKind, Plan, plan};
use super::result::{Obstacle, RecipientResult, Verdict};
use super::retry::Retry;
use super::sender::Sender;
use super::sorting::{Sorted, sort};
use crate::ids;
use crate::limits::{
    ATTEMPT_TIMEOUT, DESTINATIONS_AT_ONCE, LEASE_MARGIN, LEASE_MS, LEASE_RENEWAL, QUEUE_TROUBLE_WAIT, REPORT_PATIENCE,
    TURN_PATIENCE,
};
use crate::metrics::Metrics;
use crate::services::delivery::{Delivery, LocalTarget};
use crate::services::directory::{Directory, Resolution};
use crate::services::propose::propose_until;
use cluster::{BodyReader, Clock, Cluster};
use futures::stream::{self, StreamExt as _};
use model::queue::QueueCommand;
use model::queue::row::{Lease, QueueRow};
use model::{BodyRef, Command, GroupId, MessageId, Reply as Applied};
use protocols::address::Address;
use protocols::smtp::{EnhancedCode, Mail, Reply, Return};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What every attempt needs. Shared by all of them.
pub struct Worker {
    /// Claims, bodies, reports.
    pub cluster: Cluster,
    /// Where addresses lead now.
    pub directory: Directory,
    /// Local mailboxes.
    pub delivery: Delivery,
    /// The outside.
    pub sender: Sender,
    /// Turns at destinations.
    pub destinations: Destinations,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to try again.
    pub retry: Retry,
    /// Counts what came of attempts.
    pub metrics: Arc<Metrics>,
}

/// A claimed message.
pub struct Job {
    /// Its shard.
    pub shard: GroupId,
    /// Its id.
    pub message: MessageId,
    /// Its row when it was claimed.
    pub row: QueueRow,
    /// When the claim ends.
    pub lease_until: u64,
    /// The turn at the first of its destinations.
    pub turn: Option<Turn>,
}

impl Worker {
    /// Tries once. Without a report, because the claim was lost or nothing could be proposed, it is tried again when
    /// the claim ends.
    pub async fn attempt(&self, mut job: Job) {
        let turn = job.turn.take();
        let results = tokio::select! {
            // A machine that stood still looks at its claim before it sends on.
            biased;
            () = self.lose_claim(&job) => {
                tracing::warn!(id = %job.message, shard = job.shard.0, "the claim on a queue message was lost");
                return;
            }
            results = timeout(ATTEMPT_TIMEOUT, self.deliver(&job, turn)) => results.unwrap_or_default(),
        };
        log(&job, &results);
        self.count(&results);
        let now = self.clock.now();
        let mut plan = plan(job.message, &job.row, results, now, &self.retry);
        let notices = self.compose(&job.row, &mut plan, now).await;
        let command = QueueCommand::Report {
            message: job.message,
            holder: self.cluster.node(),
            attempts: plan.attempts,
            next_attempt_at: plan.next_attempt_at,
            delay_told: plan.delay_told,
            notices,
        };
        let operation = ids::operation(now);
        match propose_until(&self.cluster, job.shard, operation, Command::Queue(command), REPORT_PATIENCE).await {
            Ok(Applied::Done) => {}
            other => tracing::warn!(id = %job.message, ?other, "the report of an attempt was not taken"),
        }
    }

    fn count(&self, results: &[RecipientResult]) {
        let of = |wanted: fn(Verdict) -> bool| results.iter().filter(|result| wanted(result.verdict)).count() as u64;
        self.metrics.deliveries_outside.add(of(|verdict| matches!(verdict, Verdict::Relayed { .. })));
        self.metrics.deliveries_deferred.add(of(|verdict| verdict == Verdict::Later));
    }

    async fn deliver(&self, job: &Job, turn: Option<Turn>) -> Vec<RecipientResult> {
        let sorted = sort(&job.row, &self.directory, &self.sender.router);
        let Sorted { mut results, local, outside } = sorted;
        let body = match self.open(job).await {
            Ok(body) => Arc::new(body),
            Err(error) => {
                tracing::error!(id = %job.message, %error, "the body of a queue message cannot be read");
                let obstacle = Obstacle::later(3, 0, "the message cannot be read here now");
                let places = local.iter().map(|(place, _)| *place);
                let places = places.chain(outside.iter().flat_map(|group| group.places.iter().copied()));
                results.extend(places.map(|place| obstacle.result(place)));
                return results;
            }
        };
        if !local.is_empty() {
            results.extend(self.deliver_locally(job, &body, local).await);
        }
        let mut turn = turn;
        let groups = outside.into_iter().map(|group| (group, turn.take())).collect::<Vec<_>>();
        let sent: Vec<_> = stream::iter(groups)
            .map(|(group, turn)| self.send(&job.row, body.clone(), group, turn))
            .buffer_unordered(DESTINATIONS_AT_ONCE)
            .collect()
            .await;
        results.extend(sent.into_iter().flatten());
        results.sort_by_key(|result| result.recipient);
        results
    }

    async fn open(&self, job: &Job) -> io::Result<BodyReader> {
        let (bodies, hash) = (self.cluster.bodies(), job.row.hash);
        tokio::task::spawn_blocking(move || bodies.open_body(&hash)).await.map_err(io::Error::other)?
    }

    async fn deliver_locally(
        &self,
        job: &Job,
        body: &Arc<BodyReader>,
        local: Vec<(u32, Vec<LocalTarget>)>,
    ) -> Vec<RecipientResult> {
        let body = match body_ref(body.clone(), &job.row).await {
            Ok(body) => body,
            Err(_) => {
                let obstacle = Obstacle::later(3, 0, "the message cannot be read here now");
                return local.iter().map(|(place, _)| obstacle.result(*place)).collect();
            }
        };
        let mut targets: Vec<LocalTarget> = Vec::new();
        for target in local.iter().flat_map(|(_, targets)| targets) {
            if !targets.iter().any(|known| known.account == target.account) {
                targets.push(target.clone());
            }
        }
        let outcomes = self.delivery.deliver_queued(job.message, &body, &targets).await;
        let outcome = |target: &LocalTarget| {
            let place = targets.iter().position(|known| known.account == target.account);
            place.and_then(|place| outcomes.get(place).cloned()).unwrap_or(Ok(()))
        };
        let pairs = local.iter().map(|(place, targets)| (*place, targets.iter().try_for_each(outcome)));
        pairs.map(|(place, outcome)| local_result(place, outcome)).collect()
    }

    async fn send(
        &self,
        row: &QueueRow,
        body: Arc<BodyReader>,
        group: super::sorting::Group,
        turn: Option<Turn>,
    ) -> Vec<RecipientResult> {
        let _turn = match turn {
            Some(turn) => turn,
            None => match timeout(TURN_PATIENCE, self.destinations.take(&group.destination)).await {
                Ok(turn) => turn,
                Err(_) => {
                    let obstacle = Obstacle::later(4, 5, format!("too many deliveries to {}", group.destination));
                    return group.places.iter().map(|place| obstacle.result(*place)).collect();
                }
            },
        };
        let parcel = Parcel { mail: mail(row), recipients: group.recipients, body };
        self.sender.send(&group.domain, &parcel, &group.places).await
    }

    /// Renews the claim as long as it can; returns when it must not be relied on any more.
    async fn lose_claim(&self, job: &Job) {
        let mut until = job.lease_until;
        let left =
            |until: u64| Duration::from_millis(until.saturating_sub(self.clock.now())).saturating_sub(LEASE_MARGIN);
        let mut wait = LEASE_RENEWAL;
        loop {
            tokio::time::sleep(wait.min(left(until))).await;
            let (now, left) = (self.clock.now(), left(until));
            if left.is_zero() {
                return;
            }
            let lease = Lease { holder: self.cluster.node(), until: now + LEASE_MS };
            let command = Command::Queue(QueueCommand::Claim { messages: vec![job.message], lease: lease.clone() });
            match timeout(left, self.cluster.propose(job.shard, ids::operation(now), command)).await {
                Ok(Ok(Applied::Claimed(claimed))) if claimed.contains(&job.message) => {
                    (until, wait) = (lease.until, LEASE_RENEWAL);
                }
                Ok(Ok(_)) | Err(_) => return,
                Ok(Err(_)) => wait = QUEUE_TROUBLE_WAIT,
            }
        }
    }

    /// The queue messages of the notices. A failure that cannot be reported now stays pending, so that it is later.
    async fn compose(&self, row: &QueueRow, plan: &mut Plan, now: u64) -> Vec<model::queue::NewQueued> {
        let mut queued = Vec::new();
        for notice in std::mem::take(&mut plan.notices) {
            match self.compose_one(row.clone(), notice.clone(), now).await {
                Ok(new) => {
                    if new.is_some() && notice.kind == NoticeKind::Failed {
                        self.metrics.bounces.add(notice.results.len() as u64);
                    }
                    queued.extend(new);
                }
                Err(error) => {
                    tracing::error!(%error, kind = ?notice.kind, "a report to a sender cannot be made");
                    give_back(plan, &notice);
                }
            }
        }
        queued
    }

    async fn compose_one(
        &self,
        row: QueueRow,
        notice: Notice,
        now: u64,
    ) -> io::Result<Option<model::queue::NewQueued>> {
        let sender_is_local = matches!(self.directory.resolve(&row.sender), Ok(Resolution::Targets(_)));
        let (bodies, hostname, retry) = (self.cluster.bodies(), self.sender.hostname.clone(), self.retry);
        let composed = tokio::task::spawn_blocking(move || {
            let body = bodies.open_body(&row.hash)?;
            let occasion = Occasion { hostname: &hostname, row: &row, body: &body, sender_is_local, now, retry };
            notice::compose(&bodies, &occasion, &notice)
        });
        composed.await.map_err(io::Error::other)?
    }
}

fn give_back(plan: &mut Plan, notice: &Notice) {
    match notice.kind {
        NoticeKind::Failed => {
            plan.attempts.retain(|attempt| !notice.results.iter().any(|result| result.recipient == attempt.recipient))
        }
        NoticeKind::Delayed => plan.delay_told = false,
        NoticeKind::Succeeded => {}
    }
}

/// A body as an entry names it: small ones ride in the entry.
async fn body_ref(body: Arc<BodyReader>, row: &QueueRow) -> io::Result<BodyRef> {
    let (hash, size) = (row.hash, row.size);
    if size > model::limits::INLINE_BODY_BYTES_MAX as u64 {
        return Ok(BodyRef { hash, size, inline: None });
    }
    let read = tokio::task::spawn_blocking(move || notice::read(&body, model::limits::INLINE_BODY_BYTES_MAX));
    let bytes = read.await.map_err(io::Error::other)??;
    if bytes.len() as u64 != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(BodyRef { hash, size, inline: Some(bytes.into()) })
}

fn local_result(recipient: u32, outcome: Result<(), Reply>) -> RecipientResult {
    match outcome {
        Ok(()) => {
            let reply = Reply::new(250, EnhancedCode::new(2, 1, 5), "delivered to the mailbox");
            RecipientResult { recipient, verdict: Verdict::Delivered, reply, host: None }
        }
        Err(reply) => {
            let verdict = if reply.is_permanent() { Verdict::Refused } else { Verdict::Later };
            RecipientResult { recipient, verdict, reply, host: None }
        }
    }
}

fn mail(row: &QueueRow) -> Mail {
    Mail {
        sender: Address::parse(&row.sender).ok(),
        size: None,
        body: notice::body_of(row),
        smtputf8: row.content.smtp_utf8,
        ret: row.dsn.return_full.map(|full| if full { Return::Full } else { Return::Headers }),
        envelope_id: row.dsn.envelope_id.clone(),
    }
}

/// One line per recipient tried.
fn log(job: &Job, results: &[RecipientResult]) {
    for result in results {
        let to = job.row.recipients.get(result.recipient as usize).map_or("", |to| to.address.as_str());
        let (message, verdict, reply) = (job.message, result.verdict, &result.reply);
        let host = result.host.as_deref().unwrap_or("");
        tracing::info!(id = %message, to, ?verdict, host, %reply, attempt = job.row.attempts + 1, "delivery attempt");
    }
}
