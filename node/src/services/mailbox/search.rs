//! SEARCH: tests a batch of candidates on a blocking thread, with the machine's own pure function.

use super::digests::Part;
use super::lookup::{Found, Lookup, Wanted};
use super::{Mailboxes, Owner, broken, on_blocking_thread};
use crate::limits::LOOKUP_MESSAGES;
use model::{FolderId, Uid};
use protocols::imap::search::{self, SearchNeeds, SearchPlan};
use protocols::imap::store::{MessageState, StoreError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The UIDs of the candidates that match, ascending, and whether the rows were stale. Candidates that are gone do not match.
pub async fn run(
    mailboxes: &Mailboxes,
    owner: &Owner,
    plan: Arc<SearchPlan>,
    patience: Duration,
) -> Result<(Vec<Uid>, bool), StoreError> {
    let lookup = mailboxes.lookup(owner, FolderId(plan.folder), patience).await?;
    let now = i64::try_from(mailboxes.proposer.clock.now() / 1000).unwrap_or(i64::MAX);
    on_blocking_thread(move || Ok((matching(&lookup, &plan, now)?, lookup.stale))).await
}

fn matching(lookup: &Lookup, plan: &SearchPlan, now: i64) -> Result<Vec<Uid>, StoreError> {
    let mut matched = Vec::new();
    let wanted = wanted(plan.program.needs);
    for batch in plan.candidates.chunks(LOOKUP_MESSAGES) {
        let uids: Vec<Uid> = batch.iter().map(|state| state.uid).collect();
        let found = lookup.find(&uids, wanted).map_err(|error| broken(&error))?;
        let mut found = found.iter().peekable();
        for state in batch {
            while found.next_if(|message| message.uid < state.uid).is_some() {}
            if let Some(message) = found.next_if(|message| message.uid == state.uid)
                && matches_one((lookup, plan), state, message, wanted.digest, now)?
            {
                matched.push(state.uid);
            }
        }
    }
    Ok(matched)
}

fn matches_one(
    (lookup, plan): (&Lookup, &SearchPlan),
    state: &MessageState,
    found: &Found,
    part: Option<Part>,
    now: i64,
) -> Result<bool, StoreError> {
    let body = lookup.source(found);
    let matched = part
        .map(|part| lookup.digest(found, &body, part))
        .transpose()
        .and_then(|digest| search::matches(&plan.program, state, &found.facts(digest.as_ref()), now, &mut &body));
    match matched {
        // Expunged since the rows were read, and its body with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        matched => matched.map_err(|error| broken(&error)),
    }
}

fn wanted(needs: SearchNeeds) -> Wanted {
    let digest = match needs {
        SearchNeeds { structure: true, .. } => Some(Part::Whole),
        SearchNeeds { envelope: true, .. } => Some(Part::Summary),
        _ => None,
    };
    Wanted { row: needs.record || needs.body, digest }
}
