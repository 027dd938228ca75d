//! What FETCH and SEARCH need to know of a batch of messages beyond their states: rows and digests, looked up by scans.
//! Blocks on the disk: for blocking threads.

use super::digests::{self, Part};
use super::source::MessageSource;
use crate::limits::LOOKUP_MESSAGES;
use cluster::{Bodies, ReadView};
use model::mailbox::row::MessageRow;
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
    /// Its row.
    pub row: MessageRow,
    /// Its record in the cache, when there is one.
    record: Option<Vec<u8>>,
    email_id: String,
}

/// What is to be known of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Their object identifiers, which take time to write out.
    pub ids: bool,
    /// Their digests.
    pub digest: Option<Part>,
}

impl Lookup {
    /// Finds those of `uids` that exist, by UID ascending.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn find(&self, uids: impl IntoIterator<Item = Uid>, wanted: Wanted) -> Result<Vec<Found>, ReadError> {
        let uids: UidSet = uids.into_iter().collect();
        let mut found = Vec::with_capacity(LOOKUP_MESSAGES);
        view::messages_of(&self.view, self.account, self.folder, &uids, &mut |uid, row| {
            let email_id = if wanted.ids { email_id(&row.hash) } else { String::new() };
            found.push(Found { uid, row, record: None, email_id });
            Ok(())
        })?;
        if wanted.digest.is_some() {
            self.add_records(&mut found)?;
        }
        Ok(found)
    }

    fn add_records(&self, found: &mut [Found]) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(()) };
        let range = first.uid..=last.uid;
        let mut waiting = found.iter_mut().peekable();
        let mut take = |uid: Uid, kind: u8, record: &[u8]| {
            while waiting.next_if(|message| message.uid < uid).is_some() {}
            match waiting.peek_mut() {
                Some(message) if message.uid == uid && kind == DIGEST_RECORD => message.record = Some(record.to_vec()),
                Some(_) => {}
                None => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        };
        let scanned = self.state.cache_scan(self.account, self.folder, range, &mut take);
        scanned.map_err(|error| ReadError(error.to_string()))
    }

    /// The body of a message found.
    pub fn source(&self, found: &Found) -> MessageSource<'_> {
        MessageSource::new(&self.bodies, found.row.hash, found.row.size)
    }

    /// The digest of a message found: from its record, or made from the body and kept.
    ///
    /// # Errors
    /// When the body cannot be read.
    pub fn digest(&self, found: &Found, source: &MessageSource<'_>, part: Part) -> io::Result<Digest> {
        if let Some(digest) = found.record.as_deref().and_then(|record| digests::decode(record, part)) {
            return Ok(digest);
        }
        let digest = digests::make(source, found.row.size)?;
        let mut fresh = self.fresh.borrow_mut();
        fresh.push((found.uid, DIGEST_RECORD, digests::encode(&digest)));
        if fresh.len() >= LOOKUP_MESSAGES {
            self.keep(std::mem::take(&mut fresh));
        }
        Ok(digest)
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
            internaldate: self.row.internal_date,
            savedate: Some(self.row.saved_at),
            size_bytes: self.row.size,
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
