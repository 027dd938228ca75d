//! What the rules see of storage: ordered rows of one group. Keys are relative to the group; storage adds its own prefix.

use std::ops::{ControlFlow, Range};

/// A row could not be read or decoded: a broken disk or a broken row, never a client's mistake.
#[derive(Debug, thiserror::Error)]
#[error("replicated state cannot be read: {0}")]
pub struct ReadError(pub String);

/// Visits one row; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Read access to the rows of one group at one moment.
pub trait Read {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;
    /// Visits the rows with `start <= key < end`, ascending.
    fn scan(&self, range: Range<&[u8]>, visit: &mut Visit<'_>) -> Result<(), ReadError>;
}

/// Read and write access; writes are seen by later reads of the same transaction.
pub trait Txn: Read {
    /// Sets a row.
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// Removes a row; removing an absent row is no error.
    fn delete(&mut self, key: &[u8]);
}

/// Visits every row whose key starts with `prefix`.
pub fn scan_prefix(read: &dyn Read, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), ReadError> {
    read.scan(prefix..prefix_end(prefix).as_slice(), visit)
}

/// The smallest key above every key with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; prefix.len() + 1]
}
