//! Reading the queue: what is due, what there is.

use super::row::QueueRow;
use crate::codec;
use crate::ids::{MessageId, OperationId, UnixMillis};
use crate::key;
use crate::txn::{Read, ReadError, scan_prefix};
use std::ops::ControlFlow;

/// A queue message's row.
pub fn message(from: &dyn Read, message: MessageId) -> Result<Option<QueueRow>, ReadError> {
    from.get(&key::queued(message))?.map(|value| codec::decode(&value)).transpose()
}

/// Up to `count` messages that are due at `now`, the longest due first, and when the next one after them is.
pub fn due(from: &dyn Read, now: UnixMillis, count: usize) -> Result<(Vec<MessageId>, Option<UnixMillis>), ReadError> {
    let (mut messages, mut next) = (Vec::new(), None);
    scan_prefix(from, b"q", &mut |row, _| {
        let (Some(at), Some(id)) = (key::number_at(row, 1), row.last_chunk::<16>()) else {
            return ControlFlow::Continue(());
        };
        if at > now || messages.len() == count {
            next = Some(at);
            return ControlFlow::Break(());
        }
        messages.push(OperationId(*id));
        ControlFlow::Continue(())
    })?;
    Ok((messages, next))
}

/// Up to `count` messages after `after`, by id (oldest first).
pub fn list(from: &dyn Read, after: Option<MessageId>, count: usize) -> Result<Vec<(MessageId, QueueRow)>, ReadError> {
    let mut start = key::queued(after.unwrap_or(OperationId([0; 16])));
    if after.is_some() {
        start.push(0);
    }
    let (mut found, mut failed) = (Vec::new(), None);
    from.scan(&start..&crate::txn::prefix_end(b"Q"), &mut |row, value| {
        match (row.last_chunk::<16>(), codec::decode(value)) {
            (Some(id), Ok(message)) => found.push((OperationId(*id), message)),
            (_, Err(error)) => failed = Some(error),
            (None, _) => {}
        }
        let enough = failed.is_some() || found.len() == count;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(found), Err)
}
