//! FETCH: renders a plan on a blocking thread, with the machine's own pure function, into bounded pieces.

use super::digests::Part;
use super::lookup::{Found, Lookup};
use super::pieces::{MessageSink, PieceSender, pieces};
use super::{Mailboxes, Owner, broken};
use crate::limits::LOOKUP_MESSAGES;
use model::FolderId;
use protocols::imap::fetch::{self, FetchItem, FetchPlan, FetchTarget, RenderError};
use protocols::imap::store::{Fetched, Reply, StoreError};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A FETCH being rendered. Dropping it stops the rendering at its next piece.
pub struct FetchRun {
    pieces: mpsc::Receiver<Vec<u8>>,
    rendering: JoinHandle<(Result<Fetched, StoreError>, Vec<u8>)>,
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
    pub async fn finish(self) -> (Result<Reply, StoreError>, Vec<u8>) {
        match self.rendering.await {
            Ok((fetched, rest)) => (fetched.map(Reply::Fetched), rest),
            Err(error) => (Err(broken(&error)), Vec::new()),
        }
    }
}

fn render_all(lookup: &Lookup, plan: &FetchPlan, sender: &mut PieceSender) -> Result<Fetched, StoreError> {
    let mut fetched = Fetched::default();
    let part = part_needed(&plan.items.items);
    for batch in plan.messages.chunks(LOOKUP_MESSAGES) {
        let uids = batch.iter().map(|target| target.state.uid);
        let found = lookup.find(uids, plan.items.needs.digest).map_err(|error| broken(&error))?;
        let mut found = found.iter().peekable();
        for target in batch {
            while found.next_if(|message| message.uid < target.state.uid).is_some() {}
            match found.next_if(|message| message.uid == target.state.uid) {
                Some(message) => render_one(lookup, plan, target, message, part, sender, &mut fetched)?,
                None => fetched.missing = true,
            }
        }
    }
    Ok(fetched)
}

fn render_one(
    lookup: &Lookup,
    plan: &FetchPlan,
    target: &FetchTarget,
    found: &Found,
    part: Part,
    sender: &mut PieceSender,
    fetched: &mut Fetched,
) -> Result<(), StoreError> {
    let body = lookup.source(found);
    let digest = plan.items.needs.digest.then(|| lookup.digest(found, &body, part)).transpose();
    let digest = digest.map_err(|error| failed(&error))?;
    let mut sink = MessageSink { pieces: sender, body: &body };
    let rendered = fetch::render(&plan.items, target, &found.facts(), digest.as_ref(), &mut &body, &mut sink);
    match rendered {
        Ok(()) => Ok(()),
        Err(RenderError::UnknownEncoding) => {
            fetched.unknown_encoding = true;
            Ok(())
        }
        Err(RenderError::Io(error)) => Err(failed(&error)),
    }
}

/// An envelope alone needs no MIME tree.
fn part_needed(items: &[FetchItem]) -> Part {
    let needs_tree = |item: &FetchItem| {
        matches!(
            item,
            FetchItem::Body
                | FetchItem::BodyStructure
                | FetchItem::Preview
                | FetchItem::Section { .. }
                | FetchItem::Binary { .. }
                | FetchItem::BinarySize { .. }
        )
    };
    if items.iter().any(needs_tree) { Part::Whole } else { Part::Summary }
}

fn failed(error: &io::Error) -> StoreError {
    // The session has ended and nobody reads any more: nothing to report.
    if error.kind() == io::ErrorKind::BrokenPipe { StoreError::Internal } else { broken(error) }
}
