//! What FETCH and SEARCH need to know of a batch of messages beyond their states: rows and digests, looked up by scans.
//! Blocks on the disk: for blocking threads.

use super::digests::{self, Part};
use super::source::MessageSource;
use cluster::{Bodies, ReadView};
use model::mailbox::row::MessageRow;
use model::mailbox::view;
use model::{AccountId, FolderId, ReadError, Uid, UidSet};
use protocols::imap::fetch::MessageFacts;
use protocols::mime::Digest;
use std::io;
use std::sync::Arc;

/// Where a batch of messages is.
pub struct Lookup {
    /// The rows.
    pub view: ReadView,
    /// The bodies.
    pub bodies: Arc<Bodies>,
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub folder: FolderId,
}

/// One message found.
pub struct Found {
    /// Its UID.
    pub uid: Uid,
    /// Its row.
    pub row: MessageRow,
    /// Its record in the cache, when there is one.
    record: Option<Vec<u8>>,
    /// Object identifier of its content (RFC 8474): equal bodies have equal ones.
    email_id: String,
}

impl Lookup {
    /// Finds those of `uids` that exist, by UID ascending. `digests` says whether their records are wanted too.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn find(&self, uids: impl IntoIterator<Item = Uid>, digests: bool) -> Result<Vec<Found>, ReadError> {
        let uids: UidSet = uids.into_iter().collect();
        let mut found = Vec::new();
        view::messages_of(&self.view, self.account, self.folder, &uids, &mut |uid, row| {
            let email_id = format!("M{}", row.hash.to_hex().get(..40).unwrap_or_default());
            found.push(Found { uid, row, record: None, email_id });
            Ok(())
        })?;
        if digests {
            self.add_records(&mut found)?;
        }
        Ok(found)
    }

    fn add_records(&self, found: &mut [Found]) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(()) };
        let range = first.uid..=last.uid;
        let mut missing = found.iter_mut().peekable();
        self.view.scan_cache((self.account, self.folder), range, &mut |uid, record| {
            while missing.next_if(|message| message.uid < uid).is_some() {}
            if let Some(message) = missing.next_if(|message| message.uid == uid) {
                message.record = Some(record.to_vec());
            }
        })
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
        self.view.put_cache((self.account, self.folder, found.uid), &digests::encode(&digest))?;
        Ok(digest)
    }
}

impl Found {
    /// What the machine's pure functions are told of it.
    pub fn facts(&self) -> MessageFacts<'_> {
        MessageFacts {
            internaldate: self.row.internal_date,
            savedate: Some(self.row.saved_at),
            size_bytes: self.row.size,
            email_id: &self.email_id,
            thread_id: None,
            preview: None,
        }
    }
}
