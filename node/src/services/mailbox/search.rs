//! SEARCH: tests a batch of candidates on a blocking thread, with the machine's own pure function.

use super::digests::Part;
use super::lookup::{Found, Lookup};
use super::{Mailboxes, Owner, broken, on_blocking_thread};
use crate::limits::LOOKUP_MESSAGES;
use model::{FolderId, Uid};
use protocols::imap::search::{self, SearchPlan};
use protocols::imap::store::{MessageState, StoreError};
use std::sync::Arc;

/// The UIDs of the candidates that match, ascending. Candidates that are gone do not.
pub async fn run(mailboxes: &Mailboxes, owner: &Owner, plan: Arc<SearchPlan>) -> Result<Vec<Uid>, StoreError> {
    let lookup = mailboxes.lookup(owner, FolderId(plan.folder)).await?;
    on_blocking_thread(move || matching(&lookup, &plan)).await
}

fn matching(lookup: &Lookup, plan: &SearchPlan) -> Result<Vec<Uid>, StoreError> {
    let mut matched = Vec::new();
    for batch in plan.candidates.chunks(LOOKUP_MESSAGES) {
        let uids = batch.iter().map(|(_, state)| state.uid);
        let found = lookup.find(uids, plan.program.needs.digest).map_err(|error| broken(&error))?;
        let mut found = found.iter().peekable();
        for (sequence, state) in batch {
            while found.next_if(|message| message.uid < state.uid).is_some() {}
            if let Some(message) = found.next_if(|message| message.uid == state.uid)
                && matches_one(lookup, plan, (*sequence, state), message)?
            {
                matched.push(state.uid);
            }
        }
    }
    Ok(matched)
}

fn matches_one(
    lookup: &Lookup,
    plan: &SearchPlan,
    (sequence, state): (u32, &MessageState),
    found: &Found,
) -> Result<bool, StoreError> {
    let body = lookup.source(found);
    let needs = plan.program.needs;
    let part = if needs.body { Part::Whole } else { Part::Summary };
    let digest = needs.digest.then(|| lookup.digest(found, &body, part)).transpose();
    let digest = digest.map_err(|error| broken(&error))?;
    search::matches(&plan.program, (sequence, state), &found.facts(), digest.as_ref(), &mut &body)
        .map_err(|error| broken(&error))
}
