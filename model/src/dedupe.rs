//! Remembers operation ids with their replies, so that a retry acts once and hears the same (I8).

use crate::codec;
use crate::command::Entry;
use crate::ids::OperationId;
use crate::key;
use crate::limits::{OPERATION_MEMORY_MS, OPERATIONS_FORGOTTEN_PER_ENTRY};
use crate::reply::Reply;
use crate::txn::{ReadError, Txn};
use faults::Fault;
use std::ops::ControlFlow;

const LOOKS_ONE_IN: u8 = 8;

/// The reply given when this operation was applied before.
pub fn recall(txn: &dyn Txn, entry: &Entry) -> Result<Option<Reply>, ReadError> {
    if faults::planted(Fault::DedupOff) {
        return Ok(None);
    }
    txn.get(&key::operation(entry.operation))?.map(|row| codec::decode(&row)).transpose()
}

/// Keeps the reply under the operation id, and forgets a few that are too old to be retried.
pub fn remember(txn: &mut dyn Txn, entry: &Entry, reply: &Reply) -> Result<(), ReadError> {
    forget_old(txn, entry)?;
    txn.put(&key::operation(entry.operation), &codec::encode(reply));
    Ok(())
}

/// Operations and deliveries are both keyed by an id that begins with its time, so the old ones are the first rows.
fn forget_old(txn: &mut dyn Txn, entry: &Entry) -> Result<(), ReadError> {
    // Looking costs a scan, so one entry in several looks, and then takes more away.
    if !entry.operation.0[15].is_multiple_of(LOOKS_ONE_IN) {
        return Ok(());
    }
    let horizon = OperationId::new(entry.proposed_at.saturating_sub(OPERATION_MEMORY_MS), [0; 10]);
    let mut old = Vec::new();
    for table in [key::operation as fn(OperationId) -> Vec<u8>, key::deliveries_of] {
        let end_of_table = old.len() + OPERATIONS_FORGOTTEN_PER_ENTRY * LOOKS_ONE_IN as usize;
        txn.scan(&table(OperationId([0; 16]))..&table(horizon), &mut |row, _| {
            old.push(row.to_vec());
            if old.len() < end_of_table { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    old.iter().for_each(|row| txn.delete(row));
    Ok(())
}
