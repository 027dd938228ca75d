//! Rows of a group at one moment, here or pinned on another node, behind the same face.

use crate::calls::message::{ViewAnswer, ViewAsk, decode, encode};
use crate::limits::VIEW_ANSWER_TIMEOUT;
use crate::runtime::{Instant, Waiter, timeout_at};
use crate::transport::Duplex;
use bytes::Bytes;
use model::txn::Visit;
use model::{Read, ReadError};
use parking_lot::Mutex;
use std::ops::{ControlFlow, Range};

/// A group's rows at one moment. Reads block on the disk at worst, or on another node: do more than a look or two on a
/// blocking thread. Needs a runtime of several threads when the rows are elsewhere.
pub struct ReadView(Rows);

enum Rows {
    Here(storage::ReadView),
    There(Pinned),
}

impl From<storage::ReadView> for ReadView {
    fn from(rows: storage::ReadView) -> Self {
        ReadView(Rows::Here(rows))
    }
}

impl ReadView {
    /// Whether they are on another node, and may be lost with it.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.0, Rows::There(_))
    }

    /// Rows that the other end of `duplex` has pinned for as long as the stream is open.
    pub(super) fn pinned(duplex: Duplex) -> Self {
        ReadView(Rows::There(Pinned { stream: Mutex::new(duplex), waiter: Waiter::here() }))
    }
}

impl Read for ReadView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match &self.0 {
            Rows::Here(rows) => rows.get(key),
            Rows::There(rows) => rows.get(key),
        }
    }

    fn scan(&self, range: Range<&[u8]>, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        match &self.0 {
            Rows::Here(rows) => rows.scan(range, visit),
            Rows::There(rows) => rows.scan(range, visit),
        }
    }
}

struct Pinned {
    /// Held over a question and its answer: they take turns on the stream.
    stream: Mutex<Duplex>,
    waiter: Waiter,
}

impl Read for Pinned {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self.ask(&ViewAsk::Get(Bytes::copy_from_slice(key)))? {
            ViewAnswer::Row(row) => Ok(row.map(Vec::from)),
            other => Err(unexpected(&other)),
        }
    }

    fn scan(&self, range: Range<&[u8]>, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        let (mut start, end) = (Bytes::copy_from_slice(range.start), Bytes::copy_from_slice(range.end));
        loop {
            let (rows, more) = match self.ask(&ViewAsk::Scan { start, end: end.clone() })? {
                ViewAnswer::Rows { rows, more } => (rows, more),
                other => return Err(unexpected(&other)),
            };
            for (key, value) in &rows {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
            match rows.last() {
                // The smallest key above the last one.
                Some((last, _)) if more => start = [last, &[0][..]].concat().into(),
                _ => return Ok(()),
            }
        }
    }
}

impl Pinned {
    fn ask(&self, ask: &ViewAsk) -> Result<ViewAnswer, ReadError> {
        let mut stream = self.stream.lock();
        let asked = async {
            stream.sender.send(encode(ask)).await.map_err(|error| error.to_string())?;
            let deadline = Instant::now() + VIEW_ANSWER_TIMEOUT;
            let answer = timeout_at(deadline, stream.receiver.next()).await.map_err(|_| "it took too long")?;
            let answer = answer.map_err(|error| error.to_string())?.ok_or("the other node let go of the rows")?;
            decode(&answer)
        };
        let asked: Result<_, String> = self.waiter.wait(asked).map_err(|error| error.to_string()).flatten();
        asked.map_err(|error| ReadError(format!("rows on another node: {error}")))
    }
}

fn unexpected(answer: &ViewAnswer) -> ReadError {
    ReadError(match answer {
        ViewAnswer::Failed(error) => format!("rows on another node: {error}"),
        _ => "rows on another node: the answer is to another question".into(),
    })
}
