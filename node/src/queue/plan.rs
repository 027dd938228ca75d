//! From results to decisions: what becomes of each recipient, when to try again, and who must be told.
//! Pure: row, results and time in, [`Plan`] out. It composes no report and proposes nothing.

use super::result::{RecipientResult, Verdict};
use super::retry::Retry;
use model::queue::Attempt;
use model::queue::row::{Notify, Progress, QueueRow};
use model::{MessageId, UnixMillis};
use protocols::smtp::{EnhancedCode, Reply};

/// What to propose after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One line per recipient tried.
    pub attempts: Vec<Attempt>,
    /// When to try the pending ones again.
    pub next_attempt_at: UnixMillis,
    /// Whether the sender is told of a delay by this plan.
    pub delay_told: bool,
    /// Reports to compose, at most one of each kind.
    pub notices: Vec<Notice>,
}

/// The kind of a report (RFC 3464 section 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Not delivered, and never will be.
    Failed,
    /// Not delivered yet.
    Delayed,
    /// Delivered, or handed to a host that does not report.
    Succeeded,
}

/// A report to compose: its kind and the results it tells of.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Which.
    pub kind: NoticeKind,
    /// About whom, in the order of the row.
    pub results: Vec<RecipientResult>,
}

/// Decides. `results` are of recipients that were pending; others are passed over.
pub fn plan(message: MessageId, row: &QueueRow, results: Vec<RecipientResult>, now: UnixMillis, retry: &Retry) -> Plan {
    let expired = now >= row.expires_at;
    let results: Vec<_> = results
        .into_iter()
        .filter(|result| row.recipients.get(result.recipient as usize).is_some_and(|to| to.progress.is_pending()))
        .map(|result| if expired { give_up(result) } else { result })
        .collect();
    let attempts = results.iter().map(attempt).collect();
    let delay_due = !row.delay_told && now >= row.accepted_at.saturating_add(retry.delay_told_after_ms);
    let mut notices = Vec::new();
    // RFC 5321 section 4.5.5, RFC 3461 section 5: nobody is told about a message from the null sender.
    if !row.sender.is_empty() {
        let kinds = [(NoticeKind::Failed, true), (NoticeKind::Delayed, delay_due), (NoticeKind::Succeeded, true)];
        notices.extend(
            kinds.into_iter().filter(|(_, wanted)| *wanted).filter_map(|(kind, _)| notice(kind, row, &results)),
        );
    }
    Plan {
        attempts,
        next_attempt_at: retry.next_attempt(message, row.attempts, now, row.expires_at),
        delay_told: notices.iter().any(|notice| notice.kind == NoticeKind::Delayed),
        notices,
    }
}

/// A message too old to be tried again fails with the last thing that stood in its way.
fn give_up(result: RecipientResult) -> RecipientResult {
    if result.verdict != Verdict::Later {
        return result;
    }
    // RFC 3463 X.4.7: delivery time expired.
    let text = format!("gave up after too long; last: {}", result.reply);
    let reply = Reply::new(554, EnhancedCode::new(5, 4, 7), text);
    RecipientResult { verdict: Verdict::Refused, reply, ..result }
}

fn attempt(result: &RecipientResult) -> Attempt {
    let progress = match result.verdict {
        Verdict::Delivered | Verdict::Relayed { .. } => Progress::Delivered,
        Verdict::Refused => Progress::Failed,
        Verdict::Later => Progress::Pending,
    };
    let text = match &result.host {
        Some(host) => format!("{host}: {}", result.reply),
        None => result.reply.to_string(),
    };
    Attempt { recipient: result.recipient, progress, text }
}

fn notice(kind: NoticeKind, row: &QueueRow, results: &[RecipientResult]) -> Option<Notice> {
    let notify = |result: &RecipientResult| row.recipients.get(result.recipient as usize).map(|to| to.notify);
    let told = |result: &&RecipientResult| notify(result).is_some_and(|notify| wants(kind, notify, result.verdict));
    let results: Vec<_> = results.iter().filter(told).cloned().collect();
    (!results.is_empty()).then_some(Notice { kind, results })
}

/// Whether the sender wants to hear of this verdict in a report of this kind (RFC 3461 section 4.1).
fn wants(kind: NoticeKind, notify: Notify, verdict: Verdict) -> bool {
    match (kind, verdict) {
        (NoticeKind::Failed, Verdict::Refused) => notify.failure,
        (NoticeKind::Delayed, Verdict::Later) => notify.delay,
        (NoticeKind::Succeeded, Verdict::Delivered | Verdict::Relayed { reports: false }) => notify.success,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BodyHash;
    use model::queue::row::{Content, DsnEnvelope, QueueRecipient};

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    fn row(notify: &[Notify]) -> QueueRow {
        let recipients = notify.iter().map(|notify| QueueRecipient {
            address: "bob@example.net".into(),
            original: None,
            notify: *notify,
            progress: Progress::Pending,
            last_text: String::new(),
        });
        QueueRow {
            sender: "ann@example.org".into(),
            dsn: DsnEnvelope::default(),
            content: Content::default(),
            accepted_at: 0,
            expires_at: 5 * DAY,
            next_attempt_at: 0,
            attempts: 0,
            delay_told: false,
            hash: BodyHash([0; 32]),
            size: 1,
            lease: None,
            recipients: recipients.collect(),
        }
    }

    fn result(recipient: u32, verdict: Verdict) -> RecipientResult {
        RecipientResult { recipient, verdict, reply: Reply::plain(450, "said"), host: Some("mx.example.net".into()) }
    }

    fn planned(row: &QueueRow, results: Vec<RecipientResult>, now: u64) -> Plan {
        plan(MessageId::new(0, [0; 10]), row, results, now, &Retry::default())
    }

    fn kinds(plan: &Plan) -> Vec<NoticeKind> {
        plan.notices.iter().map(|notice| notice.kind).collect()
    }

    #[test]
    fn a_refusal_is_told_and_a_delay_is_not_told_at_once() {
        let row = row(&[Notify::default(), Notify::default()]);
        let plan = planned(&row, vec![result(0, Verdict::Refused), result(1, Verdict::Later)], 1_000);
        assert_eq!(kinds(&plan), [NoticeKind::Failed]);
        assert_eq!(plan.notices[0].results.len(), 1);
        assert_eq!(plan.attempts[0].progress, Progress::Failed);
        assert_eq!(plan.attempts[1].progress, Progress::Pending);
        assert_eq!(plan.attempts[1].text, "mx.example.net: 450 said");
        assert!(plan.next_attempt_at >= 301_000 && !plan.delay_told);
    }

    #[test]
    fn a_delay_is_told_once_after_four_hours() {
        let mut row = row(&[Notify::default()]);
        let first = planned(&row, vec![result(0, Verdict::Later)], 4 * HOUR);
        assert_eq!(kinds(&first), [NoticeKind::Delayed]);
        assert!(first.delay_told);
        row.delay_told = true;
        assert_eq!(kinds(&planned(&row, vec![result(0, Verdict::Later)], 5 * HOUR)), []);
    }

    #[test]
    fn an_expired_message_fails_for_good() {
        let row = row(&[Notify::default()]);
        let plan = planned(&row, vec![result(0, Verdict::Later)], 5 * DAY);
        assert_eq!(kinds(&plan), [NoticeKind::Failed]);
        assert_eq!(plan.attempts[0].progress, Progress::Failed);
        assert_eq!(plan.notices[0].results[0].status(), EnhancedCode::new(5, 4, 7));
    }

    #[test]
    fn success_is_told_when_asked_and_nobody_else_will() {
        let asked = Notify { success: true, failure: true, delay: false };
        let row = row(&[asked, asked, Notify::default()]);
        let results = vec![
            result(0, Verdict::Relayed { reports: true }),
            result(1, Verdict::Relayed { reports: false }),
            result(2, Verdict::Delivered),
        ];
        let plan = planned(&row, results, 1);
        assert_eq!(kinds(&plan), [NoticeKind::Succeeded]);
        assert_eq!(plan.notices[0].results.iter().map(|result| result.recipient).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn never_and_the_null_sender_are_never_told() {
        let mut row = row(&[Notify { success: false, failure: false, delay: false }]);
        assert_eq!(kinds(&planned(&row, vec![result(0, Verdict::Refused)], 1)), []);
        row.recipients[0].notify = Notify { success: true, failure: true, delay: true };
        row.sender.clear();
        assert_eq!(kinds(&planned(&row, vec![result(0, Verdict::Refused)], 1)), []);
    }

    #[test]
    fn recipients_done_before_are_left_alone() {
        let mut row = row(&[Notify::default()]);
        row.recipients[0].progress = Progress::Delivered;
        assert_eq!(planned(&row, vec![result(0, Verdict::Refused), result(9, Verdict::Refused)], 1).attempts, []);
    }
}
