//! Composes the reports that a plan asks for and stages their bytes: each becomes a queue message from the null sender.
//! It does not decide who is told.

use super::plan::{Notice, NoticeKind};
use super::result::{RecipientResult, Verdict};
use super::retry::Retry;
use crate::ids;
use crate::limits::{RETURNED_BYTES_MAX, RETURNED_HEADER_BYTES_MAX};
use cluster::{Bodies, BodyReader};
use model::queue::NewQueued;
use model::queue::row::{Content, DsnEnvelope, Notify, Progress, QueueRecipient, QueueRow};
use model::{BodyRef, UnixMillis};
use protocols::address::Address;
use protocols::smtp::bounce::{self, Action, Bounce, Original, RecipientStatus, Report};
use protocols::smtp::{self, Body, OriginalRecipient, Recipient};
use std::io;
use std::sync::Arc;

/// What a report is made from.
pub struct Occasion<'a> {
    /// This node's name.
    pub hostname: &'a str,
    /// The message reported on.
    pub row: &'a QueueRow,
    /// Its bytes.
    pub body: &'a BodyReader,
    /// Whether the sender's mailbox is in this cluster: then the report gets its Return-Path here.
    pub sender_is_local: bool,
    /// The time.
    pub now: UnixMillis,
    /// How long the report itself is tried.
    pub retry: Retry,
}

/// Makes the queue message of a report. Blocks on the disk: not for an async worker.
///
/// # Errors
/// When the original cannot be read or the report cannot be staged. `Ok(None)` when there is nobody to tell.
pub fn compose(bodies: &Arc<Bodies>, occasion: &Occasion<'_>, notice: &Notice) -> io::Result<Option<NewQueued>> {
    let row = occasion.row;
    let Ok(to) = Address::parse(&row.sender) else { return Ok(None) };
    let message = ids::operation(occasion.now);
    // RFC 3461 section 4.3: the whole message only for failures, and only when it was asked for.
    let whole = notice.kind == NoticeKind::Failed
        && row.dsn.return_full == Some(true)
        && row.size <= RETURNED_BYTES_MAX as u64
        && !row.content.binary;
    let original = if whole { read(occasion.body, RETURNED_BYTES_MAX)? } else { header(occasion.body)? };
    let bounce = report(occasion, notice, &to, &message.to_hex(), (!whole).then_some(&original));
    let body = stage(bodies, occasion, &bounce, whole.then_some(&original))?;
    let row = QueueRow {
        sender: String::new(),
        dsn: DsnEnvelope::default(),
        content: Content {
            eight_bit: bounce.body != Body::SevenBit,
            binary: bounce.body == Body::Binary,
            smtp_utf8: bounce.smtputf8,
        },
        accepted_at: occasion.now,
        expires_at: occasion.now.saturating_add(occasion.retry.lifetime_ms),
        next_attempt_at: occasion.now,
        attempts: 0,
        delay_told: false,
        hash: body.hash,
        size: body.size,
        lease: None,
        recipients: vec![QueueRecipient {
            address: row.sender.clone(),
            original: None,
            notify: Notify { success: false, failure: false, delay: false },
            progress: Progress::Pending,
            last_text: String::new(),
        }],
    };
    Ok(Some(NewQueued { message, body, row }))
}

fn report(occasion: &Occasion<'_>, notice: &Notice, to: &Address, unique: &str, header: Option<&Vec<u8>>) -> Bounce {
    let row = occasion.row;
    let recipients: Vec<(Recipient, &RecipientResult)> = notice
        .results
        .iter()
        .filter_map(|result| Some((envelope_recipient(row.recipients.get(result.recipient as usize)?)?, result)))
        .collect();
    let statuses: Vec<RecipientStatus<'_>> =
        recipients.iter().map(|(recipient, result)| status(occasion, notice.kind, recipient, result)).collect();
    let body = body_of(row);
    let random: String = ids::random::<12>().iter().map(|byte| format!("{byte:02x}")).collect();
    bounce::compose(&Report {
        hostname: occasion.hostname,
        to,
        envelope_id: row.dsn.envelope_id.as_deref(),
        arrival: Some(seconds(row.accepted_at)),
        recipients: &statuses,
        original: header.map_or(Original::Full { body }, |header| Original::Headers(header)),
        smtputf8: row.content.smtp_utf8,
        time: seconds(occasion.now),
        unique,
        boundary: &random,
    })
}

fn status<'a>(
    occasion: &Occasion<'_>,
    kind: NoticeKind,
    recipient: &'a Recipient,
    result: &'a RecipientResult,
) -> RecipientStatus<'a> {
    let action = match (kind, result.verdict) {
        (NoticeKind::Failed, _) => Action::Failed,
        (NoticeKind::Delayed, _) => Action::Delayed,
        (NoticeKind::Succeeded, Verdict::Delivered) => Action::Delivered,
        (NoticeKind::Succeeded, _) => Action::Relayed,
    };
    RecipientStatus {
        recipient,
        action,
        status: result.status(),
        remote_host: result.host.as_deref(),
        reply: Some(&result.reply),
        last_attempt: Some(seconds(occasion.now)),
        retry_until: (kind == NoticeKind::Delayed).then(|| seconds(occasion.row.expires_at)),
    }
}

/// A recipient of a row as the SMTP types have it; `None` for an address that cannot be one.
pub fn envelope_recipient(kept: &QueueRecipient) -> Option<Recipient> {
    let original = kept.original.as_ref().and_then(|original| original.split_once(';'));
    let original = original.map(|(address_type, address)| OriginalRecipient {
        address_type: address_type.to_owned(),
        address: address.to_owned(),
    });
    let Notify { success, failure, delay } = kept.notify;
    // The default is not said: hosts may have another one for delays.
    let notify = (kept.notify != Notify::default()).then_some(smtp::Notify { success, failure, delay });
    Some(Recipient { address: Address::parse(&kept.address).ok()?, notify, original })
}

/// What the content of a queue message is.
pub fn body_of(row: &QueueRow) -> Body {
    match (row.content.binary, row.content.eight_bit) {
        (true, _) => Body::Binary,
        (false, true) => Body::EightBit,
        (false, false) => Body::SevenBit,
    }
}

fn stage(
    bodies: &Arc<Bodies>,
    occasion: &Occasion<'_>,
    bounce: &Bounce,
    original: Option<&Vec<u8>>,
) -> io::Result<BodyRef> {
    let mut staged = bodies.stage();
    if occasion.sender_is_local {
        staged.write(b"Return-Path: <>\r\n")?;
    }
    staged.write(&bounce.before)?;
    if let Some(original) = original {
        staged.write(original)?;
    }
    staged.write(&bounce.after)?;
    staged.finish()
}

/// The header section of a body with its empty line, cut to its bound at a line's end.
fn header(body: &BodyReader) -> io::Result<Vec<u8>> {
    let mut bytes = read(body, RETURNED_HEADER_BYTES_MAX)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let end = end.or_else(|| bytes.windows(2).rposition(|two| two == b"\r\n").map(|at| at + 2));
    bytes.truncate(end.unwrap_or(bytes.len()));
    Ok(bytes)
}

/// The first `bytes_max` bytes of a body. Blocks on the disk.
pub(super) fn read(body: &BodyReader, bytes_max: usize) -> io::Result<Vec<u8>> {
    let size = usize::try_from(body.len()).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        let count = body.read_at(filled as u64, bytes.get_mut(filled..).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn seconds(at: UnixMillis) -> i64 {
    i64::try_from(at / 1000).unwrap_or(i64::MAX)
}
