//! FETCH: renders a plan on a blocking thread, with the machine's own pure function, into bounded pieces.

use super::digests::Part;
use super::lookup::{Found, Lookup, Wanted};
use super::pieces::{MessageSink, PieceSender, pieces};
use super::{Mailboxes, Owner, broken};
use crate::limits::LOOKUP_MESSAGES;
use model::{FolderId, Uid};
use protocols::imap::fetch::{self, FetchNeeds, FetchPlan, FetchTarget, RenderError};
use protocols::imap::store::{Fetched, Reply, StoreError};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A FETCH being rendered. Dropping it stops the rendering at its next piece.
pub struct FetchRun {
    pieces: mpsc::Receiver<Vec<u8>>,
    rendering: JoinHandle<(Result<Fetched, Failure>, Vec<u8>)>,
}

/// What became of one message.
enum Rendered {
    Whole,
    Missing,
    UnknownEncoding,
}

/// Why a plan was not rendered to its end.
enum Failure {
    /// The responses so far are whole.
    Store(StoreError),
    /// A response broke off: nothing that follows would be understood.
    Torn(io::Error),
}

impl FetchRun {
    /// Starts to render.
    pub(super) async fn start(
        mailboxes: &Mailboxes,
        owner: &Owner,
        plan: Arc<FetchPlan>,
    ) -> Result<FetchRun, StoreError> {
        let lookup = mailboxes.lookup(owner, FolderId(plan.folder)).await?;
        let (mut sender, pieces) = pieces();
        let rendering = tokio::task::spawn_blocking(move || {
            let fetched = render_all(&lookup, &plan, &mut sender);
            (fetched, sender.rest())
        });
        Ok(FetchRun { pieces, rendering })
    }

    /// The next piece for the client; `None` when only [`Self::finish`] is left.
    pub async fn next_piece(&mut self) -> Option<Vec<u8>> {
        self.pieces.recv().await
    }

    /// The answer for the machine and the last bytes for the client, which go out before the answer is given.
    ///
    /// # Errors
    /// When a response broke off in its middle: the connection has to be closed.
    pub async fn finish(self) -> io::Result<(Result<Reply, StoreError>, Vec<u8>)> {
        match self.rendering.await {
            Ok((Ok(fetched), rest)) => Ok((Ok(Reply::Fetched(fetched)), rest)),
            Ok((Err(Failure::Store(error)), rest)) => Ok((Err(error), rest)),
            Ok((Err(Failure::Torn(error)), _)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn render_all(lookup: &Lookup, plan: &FetchPlan, sender: &mut PieceSender) -> Result<Fetched, Failure> {
    let mut fetched = Fetched::default();
    let wanted = wanted(plan.items.needs);
    for batch in plan.messages.chunks(LOOKUP_MESSAGES) {
        let uids: Vec<Uid> = batch.iter().map(|target| target.state.uid).collect();
        let found = lookup.find(&uids, wanted).map_err(|error| Failure::Store(broken(&error)))?;
        let mut found = found.iter().peekable();
        for target in batch {
            while found.next_if(|message| message.uid < target.state.uid).is_some() {}
            match found.next_if(|message| message.uid == target.state.uid) {
                None => fetched.missing = true,
                Some(message) => match render_one((lookup, plan), target, message, wanted.digest, sender)? {
                    Rendered::Whole => {}
                    Rendered::Missing => fetched.missing = true,
                    Rendered::UnknownEncoding => fetched.unknown_encoding = true,
                },
            }
        }
    }
    Ok(fetched)
}

fn render_one(
    (lookup, plan): (&Lookup, &FetchPlan),
    target: &FetchTarget,
    found: &Found,
    part: Option<Part>,
    sender: &mut PieceSender,
) -> Result<Rendered, Failure> {
    let body = lookup.source(found);
    let digest = match part.map(|part| lookup.digest(found, &body, part)).transpose() {
        Ok(digest) if !plan.items.needs.body || body.is_there() => digest,
        // Expunged since the rows were read, and its body with it.
        Ok(_) => return Ok(Rendered::Missing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rendered::Missing),
        Err(error) => return Err(Failure::Store(broken(&error))),
    };
    let mut sink = MessageSink { pieces: sender, body: &body };
    match fetch::render(&plan.items, target, &found.facts(digest.as_ref()), &mut &body, &mut sink) {
        Ok(()) => Ok(Rendered::Whole),
        Err(RenderError::UnknownEncoding) => Ok(Rendered::UnknownEncoding),
        Err(RenderError::Io(error)) => Err(Failure::Torn(error)),
        Err(error @ RenderError::MissingFact) => Err(Failure::Torn(io::Error::other(error))),
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
