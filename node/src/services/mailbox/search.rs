//! SEARCH: tests a batch of candidates on a blocking thread, with the machine's own pure function.

use super::digests::Part;
use super::lookup::{Found, Lookup, Wanted};
use super::{Mailboxes, Owner, on_blocking_thread, unread};
use crate::limits::LOOKUP_MESSAGES;
use model::mailbox::row;
use model::{FolderId, Read, Uid};
use protocols::imap::search::{self, SearchNeeds, SearchPlan};
use protocols::imap::store::{MessageState, StoreError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The UIDs of the candidates that match, ascending, and whether the rows were stale. Candidates that are gone do not
/// match; one that exists and cannot be read now is an error, not one that does not match.
pub async fn run(
    mailboxes: &Mailboxes,
    owner: &Owner,
    plan: Arc<SearchPlan>,
    patience: Option<Duration>,
) -> Result<(Vec<Uid>, bool), StoreError> {
    let lookup = mailboxes.lookup(owner, FolderId(plan.folder), patience).await?;
    let now = i64::try_from(mailboxes.proposer.clock.now() / 1000).unwrap_or(i64::MAX);
    let (folder, stale) = (lookup.folder, lookup.stale);
    let (matched, absent) = on_blocking_thread(move || matching(&lookup, &plan, now)).await?;
    if absent.is_empty() {
        return Ok((matched, stale));
    }
    // Their bodies are nowhere: expunged since the rows were read, which newer rows show.
    let (account, first) = (owner.account, absent.first().copied().unwrap_or_default());
    let look = move |from: &dyn Read| {
        absent.into_iter().try_fold(false, |any, uid| Ok(any || row::message(from, account, folder, uid)?.is_some()))
    };
    if stale || mailboxes.read(owner.shard, look).await? {
        tracing::warn!(uid = first, "the body of a message is not to be found on any node that answers");
        return Err(StoreError::Unavailable);
    }
    Ok((matched, stale))
}

/// The candidates that match, and those that are in the rows but whose bodies are nowhere.
fn matching(lookup: &Lookup, plan: &SearchPlan, now: i64) -> Result<(Vec<Uid>, Vec<Uid>), StoreError> {
    let (mut matched, mut absent) = (Vec::new(), Vec::new());
    let wanted = wanted(plan.program.needs);
    for batch in plan.candidates.chunks(LOOKUP_MESSAGES) {
        let uids: Vec<Uid> = batch.iter().map(|state| state.uid).collect();
        let found = lookup.find(&uids, wanted).map_err(|error| unread(&lookup.view, &error))?;
        let mut found = found.iter().peekable();
        for state in batch {
            while found.next_if(|message| message.uid < state.uid).is_some() {}
            let Some(message) = found.next_if(|message| message.uid == state.uid) else {
                // Old rows do not tell what was expunged from what has not come yet.
                if lookup.stale {
                    return Err(StoreError::Unavailable);
                }
                continue;
            };
            match matches_one((lookup, plan), state, message, wanted.digest, now) {
                Ok(true) => matched.push(state.uid),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => absent.push(state.uid),
                Err(error) => {
                    tracing::warn!(uid = state.uid, %error, "a message cannot be searched now");
                    return Err(StoreError::Unavailable);
                }
            }
        }
    }
    Ok((matched, absent))
}

fn matches_one(
    (lookup, plan): (&Lookup, &SearchPlan),
    state: &MessageState,
    found: &Found,
    part: Option<Part>,
    now: i64,
) -> io::Result<bool> {
    let body = lookup.source(found);
    let digest = part.map(|part| lookup.digest(found, &body, part)).transpose()?;
    search::matches(&plan.program, state, &found.facts(digest.as_ref()), now, &mut &body)
}

fn wanted(needs: SearchNeeds) -> Wanted {
    let digest = match needs {
        SearchNeeds { structure: true, .. } => Some(Part::Whole),
        SearchNeeds { envelope: true, .. } => Some(Part::Summary),
        _ => None,
    };
    Wanted { row: needs.record || needs.body, digest }
}
