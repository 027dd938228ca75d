//! A group's rows at one moment, as the rules and the protocols read them.

use crate::key::{self, Meta};
use crate::rows::{Column, RowsRead};
use bytes::Bytes;
use model::txn::Visit;
use model::{GroupId, Read, ReadError};
use std::io;
use std::ops::{ControlFlow, Range};

/// A group's rows at one moment. Reads block on the disk at worst; may be sent to another thread.
pub struct ReadView {
    rows: Box<dyn RowsRead>,
    prefix: Vec<u8>,
    group: GroupId,
}

impl ReadView {
    pub(crate) fn new(group: GroupId, rows: Box<dyn RowsRead>) -> io::Result<Self> {
        let generation = decode_generation(rows.get(Column::RaftMeta, &key::meta(group, Meta::Generation))?)?;
        Ok(ReadView { rows, prefix: key::generation(group, generation), group })
    }

    /// The index and position of the last entry this view holds.
    pub fn applied(&self) -> io::Result<Option<(u64, Bytes)>> {
        decode_applied(self.rows.get(Column::RaftMeta, &key::meta(self.group, Meta::Applied))?)
    }

    /// The membership as of this view.
    pub fn membership(&self) -> io::Result<Option<Bytes>> {
        Ok(self.rows.get(Column::RaftMeta, &key::meta(self.group, Meta::Membership))?.map(Bytes::from))
    }

    pub(crate) fn rows(&self) -> &dyn RowsRead {
        &*self.rows
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl Read for ReadView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        get_under(&*self.rows, &self.prefix, key)
    }

    fn scan(&self, range: Range<&[u8]>, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        scan_under(&*self.rows, &self.prefix, range, visit)
    }
}

/// Reads a replicated row.
pub fn get_under(rows: &dyn RowsRead, prefix: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    rows.get(Column::Index, &[prefix, key].concat()).map_err(unreadable)
}

/// Visits replicated rows with the prefix taken off.
pub fn scan_under(
    rows: &dyn RowsRead,
    prefix: &[u8],
    range: Range<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<(), ReadError> {
    let (start, end) = ([prefix, range.start].concat(), [prefix, range.end].concat());
    if start >= end {
        return Ok(());
    }
    let visited = rows.scan(Column::Index, &start..&end, &mut |key, value| match key.get(prefix.len()..) {
        Some(key) => visit(key, value),
        None => ControlFlow::Break(()),
    });
    visited.map_err(unreadable)
}

/// Turns an error of the rules into one of this crate.
pub fn io_error(error: ReadError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn unreadable(error: io::Error) -> ReadError {
    ReadError(error.to_string())
}

/// `index u64 | position`, little endian.
pub fn encode_applied(index: u64, position: &[u8]) -> Vec<u8> {
    [&index.to_le_bytes(), position].concat()
}

/// Reads what [`encode_applied`] wrote.
pub fn decode_applied(value: Option<Vec<u8>>) -> io::Result<Option<(u64, Bytes)>> {
    let Some(value) = value else { return Ok(None) };
    let (index, position) = value.split_first_chunk().ok_or_else(broken)?;
    Ok(Some((u64::from_le_bytes(*index), Bytes::copy_from_slice(position))))
}

/// Reads a generation; an absent one is the first.
pub fn decode_generation(value: Option<Vec<u8>>) -> io::Result<key::Generation> {
    match value {
        None => Ok(0),
        Some(value) => Ok(u32::from_le_bytes(value.try_into().map_err(|_| broken())?)),
    }
}

/// Reads an index.
pub fn decode_index(value: Option<Vec<u8>>) -> io::Result<Option<u64>> {
    match value {
        None => Ok(None),
        Some(value) => Ok(Some(u64::from_le_bytes(value.try_into().map_err(|_| broken())?))),
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a row of the group's state is broken")
}
