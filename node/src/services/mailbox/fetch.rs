//! FETCH: renders a plan on blocking threads, slice by slice, with the machine's own pure function.
//!
//! A message that is left out is one that does not exist: only rows that show everything acknowledged say so. What
//! exists and cannot be had now, rows or bytes, is an error (I2).

use super::digests::Part;
use super::lookup::{Found, Lookup, Wanted};
use super::pieces::{MessageSink, Piece, Slice};
use super::{Mailboxes, Owner, blocking_io, unread};
use crate::limits::{LOOKUP_BODIES, LOOKUP_MESSAGES};
use model::{FolderId, GroupId, ReadError, Uid};
use protocols::imap::fetch::{self, FetchNeeds, FetchPlan, FetchTarget, RenderError};
use protocols::imap::store::{Fetched, Reply, StoreError};
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A FETCH being rendered.
pub struct FetchRun {
    mailboxes: Mailboxes,
    shard: GroupId,
    /// Given away while a thread renders.
    work: Option<Box<Work>>,
    answer: Result<Fetched, StoreError>,
    stale: bool,
}

struct Work {
    lookup: Lookup,
    plan: Arc<FetchPlan>,
    wanted: Wanted,
    /// The message to go on with.
    next: usize,
    /// The message for which newer rows were read, because its body is nowhere.
    looked_again: Option<Uid>,
    /// Bytes of its response that went out already.
    sent: u64,
    fetched: Fetched,
}

impl FetchRun {
    /// Prepares to render.
    pub(super) async fn start(
        mailboxes: &Mailboxes,
        owner: &Owner,
        plan: Arc<FetchPlan>,
        patience: Option<Duration>,
    ) -> Result<FetchRun, StoreError> {
        let lookup = mailboxes.lookup(owner, FolderId(plan.folder), patience).await?;
        let (wanted, stale) = (wanted(plan.items.needs), lookup.stale);
        let work =
            Box::new(Work { lookup, plan, wanted, next: 0, looked_again: None, sent: 0, fetched: Fetched::default() });
        let (mailboxes, shard) = (mailboxes.clone(), owner.shard);
        Ok(FetchRun { mailboxes, shard, work: Some(work), answer: Ok(Fetched::default()), stale })
    }

    /// The next slice for the client; `None` when everything is rendered.
    ///
    /// # Errors
    /// When a response broke off in its middle: nothing that follows would be understood, so the connection has to be
    /// closed.
    pub async fn next_slice(&mut self) -> io::Result<Option<Vec<Piece>>> {
        let Some(mut work) = self.work.take() else { return Ok(None) };
        let (work, slice, rendered) = blocking_io(move || {
            let mut slice = Slice::default();
            let rendered = work.render(&mut slice);
            Ok((work, slice, rendered))
        })
        .await?;
        match rendered {
            Ok(()) if work.is_over() => self.answer = Ok(work.fetched),
            Ok(()) => self.work = Some(work),
            Err(Failure::Store(error)) => self.answer = Err(error),
            Err(Failure::Absent(uid)) => self.look_again(work, uid).await,
            Err(Failure::Torn(error)) => return Err(error),
        }
        Ok(Some(slice.into_pieces()))
    }

    /// A body is nowhere: either its message was expunged since the rows were read, which newer rows show, or its bytes
    /// cannot be had.
    async fn look_again(&mut self, mut work: Box<Work>, uid: Uid) {
        if self.stale || work.looked_again == Some(uid) {
            tracing::warn!(uid, "the body of a message is not to be found on any node that answers");
            self.answer = Err(StoreError::Unavailable);
            return;
        }
        match self.mailboxes.view(self.shard).await {
            Ok(view) => {
                (work.lookup.view, work.looked_again) = (view, Some(uid));
                // A record in the cache may outlive its message; the row decides.
                work.wanted.row = true;
                self.work = Some(work);
            }
            Err(error) => self.answer = Err(error),
        }
    }

    /// Whether what is rendered may be behind what was acknowledged elsewhere.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The answer for the machine, once there are no more slices.
    pub fn answer(self) -> Result<Reply, StoreError> {
        self.answer.map(Reply::Fetched)
    }
}

/// What became of one message.
enum Rendered {
    Whole,
    Missing,
    UnknownEncoding,
    /// The slice is full; so much of the response has been rendered.
    Part(u64),
}

/// Why a plan was not rendered to its end.
enum Failure {
    /// The responses so far are whole.
    Store(StoreError),
    /// The same; the next message is in the rows, its body is not to be found.
    Absent(Uid),
    /// A response broke off.
    Torn(io::Error),
}

impl Work {
    fn is_over(&self) -> bool {
        self.next >= self.plan.messages.len()
    }

    /// Renders until the slice is full or everything is rendered.
    fn render(&mut self, slice: &mut Slice) -> Result<(), Failure> {
        let plan = Arc::clone(&self.plan);
        // Rows that are looked up for a slice and not rendered in it are looked up again.
        let together = if plan.items.needs.body { LOOKUP_BODIES } else { LOOKUP_MESSAGES };
        while !self.is_over() && !slice.is_full() {
            let batch =
                plan.messages.get(self.next..).and_then(|rest| rest.chunks(together).next()).unwrap_or_default();
            let uids: Vec<Uid> = batch.iter().map(|target| target.state.uid).collect();
            let found = self.lookup.find(&uids, self.wanted).map_err(|error| self.failed(&error))?;
            let mut found = found.iter().peekable();
            for target in batch {
                if slice.is_full() {
                    break;
                }
                while found.next_if(|message| message.uid < target.state.uid).is_some() {}
                let message = found.next_if(|message| message.uid == target.state.uid);
                match self.render_one(target, message, slice)? {
                    Rendered::Whole => {}
                    Rendered::Missing => self.fetched.missing = true,
                    Rendered::UnknownEncoding => self.fetched.unknown_encoding = true,
                    Rendered::Part(sent) => {
                        self.sent = sent;
                        return Ok(());
                    }
                }
                (self.next, self.sent) = (self.next + 1, 0);
            }
        }
        Ok(())
    }

    /// Rows could not be read.
    fn failed(&self, error: &ReadError) -> Failure {
        self.failure(unread(&self.lookup.view, error), error)
    }

    /// A body could not be read.
    fn unreadable(&self, uid: Uid, error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::NotFound && self.sent == 0 {
            return Failure::Absent(uid);
        }
        tracing::warn!(uid, %error, "the body of a message cannot be read now");
        self.failure(StoreError::Unavailable, error)
    }

    fn failure(&self, answer: StoreError, error: &dyn Display) -> Failure {
        if self.sent == 0 { Failure::Store(answer) } else { Failure::Torn(io::Error::other(error.to_string())) }
    }

    fn render_one(&self, target: &FetchTarget, found: Option<&Found>, slice: &mut Slice) -> Result<Rendered, Failure> {
        let uid = target.state.uid;
        let Some(found) = found else {
            return match self.sent {
                // Old rows do not tell what was expunged from what has not come yet.
                0 if self.lookup.stale => Err(Failure::Store(StoreError::Unavailable)),
                0 => Ok(Rendered::Missing),
                _ => Err(Failure::Torn(io::ErrorKind::NotFound.into())),
            };
        };
        let body = self.lookup.source(found);
        let digest = self.wanted.digest.map(|part| self.lookup.digest(found, &body, part)).transpose();
        let digest = digest.map_err(|error| self.unreadable(uid, &error))?;
        if self.plan.items.needs.body {
            body.prepare().map_err(|error| self.unreadable(uid, &error))?;
        }
        let mut sink = MessageSink::new(slice, &body, self.sent);
        match fetch::render(&self.plan.items, target, &found.facts(digest.as_ref()), &mut &body, &mut sink) {
            Ok(()) => Ok(Rendered::Whole),
            Err(RenderError::UnknownEncoding) => Ok(Rendered::UnknownEncoding),
            Err(RenderError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Rendered::Part(sink.reached()))
            }
            Err(RenderError::Io(error)) => Err(Failure::Torn(error)),
            Err(error @ RenderError::MissingFact) => Err(Failure::Torn(io::Error::other(error))),
        }
    }
}

fn wanted(needs: FetchNeeds) -> Wanted {
    let digest = match needs {
        FetchNeeds { structure: true, .. } => Some(Part::Whole),
        FetchNeeds { envelope: true, .. } => Some(Part::Summary),
        _ => None,
    };
    Wanted { row: needs.record || needs.body, digest }
}
