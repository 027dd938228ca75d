//! APPEND: the bytes of new messages on their way from a session to the log. Small ones stay in memory and ride in the
//! entry; large ones are written to staging piece by piece and pushed to the shard's other nodes meanwhile, so that no
//! message is ever held whole.

use super::blocking_io;
use crate::limits::{APPEND_INLINE_BYTES_MAX, STAGING_WRITE_BYTES};
use bytes::Bytes;
use cluster::{Cluster, Push, StagedBody};
use model::limits::INLINE_BODY_BYTES_MAX;
use model::mailbox::NewMessage;
use model::{BodyRef, FolderId, GroupId};
use protocols::imap::store::{FlagNames, StoreError};
use std::io;

/// Messages of one APPEND or MULTIAPPEND until its commit.
pub struct Appends {
    cluster: Cluster,
    shard: GroupId,
    folder: FolderId,
    current: Option<Arriving>,
    complete: Vec<NewMessage>,
    inline_bytes: usize,
    failed: Option<StoreError>,
}

struct Arriving {
    flags: FlagNames,
    internal_date: Option<i64>,
    /// Bytes not yet written to `staged`; all of them while that is `None`.
    gathered: Vec<u8>,
    staged: Option<StagedBody>,
    push: Option<Push>,
}

impl Appends {
    /// Nothing appended yet to `folder`, which lives in `shard`.
    pub fn new(cluster: Cluster, shard: GroupId, folder: FolderId) -> Self {
        Appends { cluster, shard, folder, current: None, complete: Vec::new(), inline_bytes: 0, failed: None }
    }

    /// Where the messages go: the folder that had the name when the command began, whatever it is called by now.
    pub fn folder(&self) -> FolderId {
        self.folder
    }

    /// Begins a message of `size_bytes`.
    pub fn start(&mut self, flags: FlagNames, internal_date: Option<i64>, size_bytes: u64) {
        let capacity = usize::try_from(size_bytes).unwrap_or(usize::MAX).min(INLINE_BODY_BYTES_MAX);
        let gathered = Vec::with_capacity(capacity);
        self.current = Some(Arriving { flags, internal_date, gathered, staged: None, push: None });
    }

    /// Takes bytes of the message begun. Waits while they are written, which holds the client back.
    pub async fn chunk(&mut self, bytes: &[u8]) {
        let Some(arriving) = self.current.as_mut() else { return };
        arriving.gathered.extend_from_slice(bytes);
        let is_large = arriving.gathered.len() > INLINE_BODY_BYTES_MAX || arriving.staged.is_some();
        if is_large && arriving.gathered.len() >= STAGING_WRITE_BYTES {
            let staged = self.write_out().await;
            self.keep(staged);
        }
    }

    /// The message begun is complete.
    pub async fn end(&mut self) {
        if self.failed.is_some() {
            self.current = None;
        }
        let Some(arriving) = &self.current else { return };
        let is_small = arriving.staged.is_none() && arriving.gathered.len() <= INLINE_BODY_BYTES_MAX;
        let body = if is_small && self.inline_bytes + arriving.gathered.len() <= APPEND_INLINE_BYTES_MAX {
            self.finish_inline()
        } else {
            self.finish_staged().await
        };
        let arriving = self.current.take();
        match (body, arriving) {
            (Ok(body), Some(arriving)) => {
                self.inline_bytes += body.inline.as_ref().map_or(0, |bytes| bytes.len());
                self.complete.push(NewMessage {
                    body,
                    flags: arriving.flags.system.0,
                    keywords: arriving.flags.keywords,
                    internal_date: arriving.internal_date,
                    internal_zone: 0,
                });
            }
            (Err(error), _) => self.fail(&error),
            (Ok(_), None) => {}
        }
    }

    /// Everything complete, for one command; empties this.
    ///
    /// # Errors
    /// When the bytes of one of them could not be kept.
    pub fn take(&mut self) -> Result<Vec<NewMessage>, StoreError> {
        let failed = self.failed.take();
        let complete = std::mem::take(&mut self.complete);
        self.abort();
        failed.map_or(Ok(complete), Err)
    }

    /// Forgets everything since the last commit.
    pub fn abort(&mut self) {
        self.current = None;
        self.complete = Vec::new();
        self.inline_bytes = 0;
        self.failed = None;
    }

    /// In memory all the way: nothing here blocks.
    fn finish_inline(&mut self) -> io::Result<BodyRef> {
        let mut staged = self.cluster.bodies().stage();
        if let Some(arriving) = &mut self.current {
            staged.write(&std::mem::take(&mut arriving.gathered))?;
        }
        staged.finish()
    }

    async fn finish_staged(&mut self) -> io::Result<BodyRef> {
        let staged = self.write_out().await?;
        let size = staged.size();
        let hash = blocking_io(move || staged.finish_as_file()).await?;
        if let Some(push) = self.current.as_mut().and_then(|arriving| arriving.push.take()) {
            push.finish(hash).await;
        }
        Ok(BodyRef { hash, size, inline: None })
    }

    /// Writes what is gathered, here and to the other nodes, and gives the staged body out of `current`.
    async fn write_out(&mut self) -> io::Result<StagedBody> {
        let arriving = self.current.as_mut().ok_or_else(|| io::Error::other("no message is arriving"))?;
        let gathered = Bytes::from(std::mem::take(&mut arriving.gathered));
        match &mut arriving.push {
            Some(push) => push.write(&gathered).await,
            None => arriving.push.insert(self.cluster.push(self.shard).await).write(&gathered).await,
        }
        let mut staged = arriving.staged.take().unwrap_or_else(|| self.cluster.bodies().stage());
        let (staged, gathered) = blocking_io(move || {
            staged.write(&gathered)?;
            Ok((staged, gathered))
        })
        .await?;
        // The memory is used again when nobody is still being sent it.
        if let Ok(mut gathered) = gathered.try_into_mut() {
            gathered.clear();
            arriving.gathered = gathered.into();
        }
        Ok(staged)
    }

    fn keep(&mut self, staged: io::Result<StagedBody>) {
        match (staged, &mut self.current) {
            (Ok(staged), Some(arriving)) => arriving.staged = Some(staged),
            (Err(error), _) => self.fail(&error),
            (Ok(_), None) => {}
        }
    }

    /// The rest of the message is passed over; the commit tells the client.
    fn fail(&mut self, error: &io::Error) {
        tracing::error!(%error, "an appended message could not be staged");
        self.current = None;
        self.failed = Some(StoreError::Unavailable);
    }
}
