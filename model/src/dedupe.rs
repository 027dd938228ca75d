//! Remembers operation ids with their replies, so that a retry acts once and hears the same (I8).

use crate::codec;
use crate::command::Entry;
use crate::ids::OperationId;
use crate::key;
use crate::limits::{OPERATION_MEMORY_MS, OPERATIONS_FORGOTTEN_PER_ENTRY};
use crate::reply::Reply;
use crate::txn::{ReadError, Txn};
use std::ops::ControlFlow;

/// The reply given when this operation was applied before.
pub fn recall(txn: &dyn Txn, entry: &Entry) -> Result<Option<Reply>, ReadError> {
    txn.get(&key::operation(entry.operation))?.map(|row| codec::decode(&row)).transpose()
}

/// Keeps the reply under the operation id, and forgets a few that are too old to be retried.
pub fn remember(txn: &mut dyn Txn, entry: &Entry, reply: &Reply) -> Result<(), ReadError> {
    forget_old(txn, entry)?;
    txn.put(&key::operation(entry.operation), &codec::encode(reply));
    Ok(())
}

fn forget_old(txn: &mut dyn Txn, entry: &Entry) -> Result<(), ReadError> {
    let horizon = entry.proposed_at.saturating_sub(OPERATION_MEMORY_MS);
    let (start, end) = (key::operation(OperationId([0; 16])), key::operation(OperationId::new(horizon, [0; 10])));
    let mut old = Vec::new();
    // One row in eight entries is looked at, so that the scan costs little when nothing is old.
    if entry.operation.0[15] % 8 == 0 && horizon > 0 {
        txn.scan(&start..&end, &mut |row, _| {
            old.push(row.to_vec());
            if old.len() < OPERATIONS_FORGOTTEN_PER_ENTRY * 8 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
    }
    old.iter().for_each(|row| txn.delete(row));
    Ok(())
}
