//! Messages rendered for FETCH, as `node/src/services/mailbox/fetch.rs` does it, but whole and in memory.

use cluster::Bodies;
use model::mailbox::row;
use model::{AccountId, BodyHash, FolderId, Read};
use protocols::imap::fetch::{self, FetchPlan, MessageFacts, Sink};
use protocols::imap::store::{Fetched, Reply, StoreError};
use std::io;
use std::ops::Range;

/// Renders a plan with its bodies. A message that old rows do not have may not have come here yet, and one whose body is
/// nowhere may have been expunged meanwhile: both are told as unavailable, never as gone.
pub fn render(
    from: &dyn Read,
    bodies: &Bodies,
    account: AccountId,
    plan: &FetchPlan,
    stale: bool,
) -> Result<(Vec<u8>, Reply), StoreError> {
    let mut text = Vec::new();
    let mut fetched = Fetched::default();
    for target in &plan.messages {
        let row = row::message(from, account, FolderId(plan.folder), target.state.uid);
        let Some(row) = row.map_err(|_| StoreError::Unavailable)? else {
            if stale {
                return Err(StoreError::Unavailable);
            }
            fetched.missing = true;
            continue;
        };
        let body = match plan.items.needs.body {
            true => body_of(bodies, &row.hash, row.size).map_err(|_| StoreError::Unavailable)?,
            false => Vec::new(),
        };
        let facts = MessageFacts {
            internaldate: row.internal_date,
            savedate: Some(row.saved_at),
            size_bytes: row.size,
            ..MessageFacts::default()
        };
        let mut sink = Rendered { text: &mut text, body: &body };
        fetch::render(&plan.items, target, &facts, &mut body.as_slice(), &mut sink)
            .map_err(|_| StoreError::Internal)?;
    }
    Ok((text, Reply::Fetched(fetched)))
}

/// A whole body, wherever it is.
fn body_of(bodies: &Bodies, hash: &BodyHash, size: u64) -> io::Result<Vec<u8>> {
    let reader = bodies.open_body(hash)?;
    let mut body = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = body.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read_at(filled as u64, rest)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(body)
}

struct Rendered<'a> {
    text: &'a mut Vec<u8>,
    body: &'a [u8],
}

impl Sink for Rendered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn body_range(&mut self, range: Range<u64>) -> io::Result<()> {
        let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let piece = ends.and_then(|(start, end)| self.body.get(start..end)).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.text.extend_from_slice(piece);
        Ok(())
    }
}
