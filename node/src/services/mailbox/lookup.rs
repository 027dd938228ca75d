//! What FETCH and SEARCH need to know of a batch of messages beyond their states: rows and digests, looked up by scans.
//! Blocks on the disk: for blocking threads.

use super::digests::{self, Part};
use super::source::MessageSource;
use crate::limits::{DIGESTS_BYTES_MAX, LOOKUP_GAP_MAX, LOOKUP_MESSAGES};
use cluster::{Bodies, ReadView};
use model::mailbox::row::{self, MessageRow};
use model::mailbox::view;
use model::{AccountId, BodyHash, FolderId, ReadError, Uid, UidSet};
use protocols::imap::fetch::MessageFacts;
use protocols::mime::Digest;
use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::GroupState;

/// The kind of derived record in the `cache` column that a digest is.
const DIGEST_RECORD: u8 = 1;

/// Where a batch of messages is.
pub struct Lookup {
    /// The rows.
    pub view: ReadView,
    /// Whether the rows may be behind what was acknowledged elsewhere.
    pub stale: bool,
    /// The shard's derived records.
    pub state: GroupState,
    /// The bodies.
    pub bodies: Arc<Bodies>,
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub folder: FolderId,
    /// Digests made and not kept yet.
    pub fresh: RefCell<Vec<(Uid, u8, Vec<u8>)>>,
}

/// One message found.
pub struct Found {
    /// Its UID.
    pub uid: Uid,
    /// Its row, when it is wanted or its digest has to be made.
    row: Option<MessageRow>,
    /// Its record in the cache, when there is one.
    record: Option<Vec<u8>>,
    email_id: String,
}

/// What is to be known of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Their rows: dates, sizes, ids, bodies.
    pub row: bool,
    /// Their digests.
    pub digest: Option<Part>,
}

impl Lookup {
    /// Finds those of `uids` (ascending, unique) that exist, ascending.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn find(&self, uids: &[Uid], wanted: Wanted) -> Result<Vec<Found>, ReadError> {
        let records = if wanted.digest.is_some() { self.records(uids)? } else { Vec::new() };
        let needs_row = |uid: &Uid| wanted.row || records.binary_search_by_key(uid, |(uid, _)| *uid).is_err();
        let needed: Vec<Uid> = uids.iter().copied().filter(needs_row).collect();
        let mut found = self.rows(&needed, wanted.row)?;
        let (mut at, without_row) = (0, !wanted.row);
        for (uid, record) in records {
            match found.get_mut(at..).and_then(|rest| rest.iter().position(|message| message.uid >= uid)) {
                Some(ahead) => at += ahead,
                None => at = found.len(),
            }
            match found.get_mut(at) {
                Some(message) if message.uid == uid => message.record = Some(record),
                _ if without_row => {
                    found.insert(at, Found { uid, row: None, record: Some(record), email_id: String::new() });
                }
                // A record outlived its message.
                _ => {}
            }
        }
        Ok(found)
    }

    fn rows(&self, uids: &[Uid], with_id: bool) -> Result<Vec<Found>, ReadError> {
        let mut found = Vec::with_capacity(uids.len());
        let spans = UidSet::from_ranges(spans(uids));
        view::messages_of(&self.view, self.account, self.folder, &spans, &mut |uid, row| {
            if uids.binary_search(&uid).is_ok() {
                let email_id = if with_id { email_id(&row.hash) } else { String::new() };
                found.push(Found { uid, row: Some(row), record: None, email_id });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Records of messages, ascending by UID, as far as their bound allows.
    fn records(&self, uids: &[Uid]) -> Result<Vec<(Uid, Vec<u8>)>, ReadError> {
        let (mut records, mut bytes) = (Vec::with_capacity(uids.len()), 0);
        for (first, last) in spans(uids) {
            let scanned = self.state.cache_scan(self.account, self.folder, first..=last, &mut |uid, kind, record| {
                if kind == DIGEST_RECORD && uids.binary_search(&uid).is_ok() {
                    bytes += record.len();
                    records.push((uid, record.to_vec()));
                }
                if bytes > DIGESTS_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            scanned.map_err(|error| ReadError(error.to_string()))?;
            if bytes > DIGESTS_BYTES_MAX {
                break;
            }
        }
        Ok(records)
    }

    /// The body of a message found.
    pub fn source(&self, found: &Found) -> MessageSource<'_> {
        match &found.row {
            Some(row) => MessageSource::new(&self.bodies, row.hash, row.size),
            None => MessageSource::absent(),
        }
    }

    /// The digest of a message found: from its record, or made from the body and kept.
    ///
    /// # Errors
    /// When the body cannot be read; `NotFound` when the message is gone.
    pub fn digest(&self, found: &Found, source: &MessageSource<'_>, part: Part) -> io::Result<Digest> {
        if let Some(digest) = found.record.as_deref().and_then(|record| digests::decode(record, part)) {
            return Ok(digest);
        }
        if found.record.is_none()
            && let Some(record) = self.state.cache_get(self.account, self.folder, found.uid, DIGEST_RECORD)?
            && let Some(digest) = digests::decode(&record, part)
        {
            return Ok(digest);
        }
        let digest = if found.row.is_some() { digests::make(source)? } else { self.digest_of_old(found.uid)? };
        let mut fresh = self.fresh.borrow_mut();
        fresh.push((found.uid, DIGEST_RECORD, digests::encode(&digest)));
        if fresh.len() >= LOOKUP_MESSAGES {
            self.keep(std::mem::take(&mut fresh));
        }
        Ok(digest)
    }

    /// The record is there but of another version, so the row was not looked up.
    fn digest_of_old(&self, uid: Uid) -> io::Result<Digest> {
        let row = row::message(&self.view, self.account, self.folder, uid).map_err(io::Error::other)?;
        let row = row.ok_or(io::ErrorKind::NotFound)?;
        digests::make(&MessageSource::new(&self.bodies, row.hash, row.size))
    }

    /// Digests are safe to lose: they are made again when next needed.
    fn keep(&self, fresh: Vec<(Uid, u8, Vec<u8>)>) {
        if let Err(error) = self.state.cache_put(self.account, self.folder, fresh) {
            tracing::warn!(%error, "digests could not be kept");
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let fresh = self.fresh.take();
        if !fresh.is_empty() {
            self.keep(fresh);
        }
    }
}

impl Found {
    /// What the machine's pure functions are told of it.
    pub fn facts<'a>(&'a self, digest: Option<&'a Digest>) -> MessageFacts<'a> {
        MessageFacts {
            internaldate: self.row.as_ref().map_or(0, |row| row.internal_date),
            savedate: self.row.as_ref().map(|row| row.saved_at),
            size_bytes: self.row.as_ref().map_or(0, |row| row.size),
            email_id: &self.email_id,
            thread_id: None,
            preview: None,
            envelope: digest.map(|digest| &digest.envelope),
            sent_date: digest.and_then(|digest| digest.sent_date),
            structure: digest.map(|digest| &digest.structure),
        }
    }
}

/// The object identifier of a content (RFC 8474 section 4): equal bodies have equal ones.
fn email_id(hash: &BodyHash) -> String {
    format!("M{}", hash.to_hex().get(..40).unwrap_or_default())
}

/// Few ranges that cover `uids` (ascending): reading over a small gap costs less than beginning another scan.
fn spans(uids: &[Uid]) -> Vec<(Uid, Uid)> {
    let mut spans: Vec<(Uid, Uid)> = Vec::new();
    for uid in uids {
        match spans.last_mut() {
            Some((_, last)) if uid.saturating_sub(*last) <= LOOKUP_GAP_MAX => *last = *uid,
            _ => spans.push((*uid, *uid)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_bridge_small_gaps_and_no_large_ones() {
        assert_eq!(spans(&[]), []);
        assert_eq!(spans(&[1, 2, 5, 1_000, 1_001]), [(1, 5), (1_000, 1_001)]);
        assert_eq!(spans(&[u32::MAX]), [(u32::MAX, u32::MAX)]);
    }
}
