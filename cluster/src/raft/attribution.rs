//! Which request an acknowledgement belongs to. openraft takes the time when a request was handed out for the time from which
//! its answer grants the leader's lease, and it takes an answer for that of every request so far that ends with the same entry:
//! an empty one that tells how far the group has committed ends like the entries before it. Handed out after a pause, it would
//! make an old answer grant a new lease, and the leader would serve reads although another has been elected.
//!
//! So an answer is told only when no later request ends with its entry (that one's answer says the same), and no request is
//! handed out from then until openraft has taken it in.

use crate::raft::types::{LogId, TypeConfig};
use crate::raft::wire::Appended;
use futures::{Stream, StreamExt};
use openraft::raft::AppendEntriesRequest;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The requests of one stream that have no answer yet.
#[derive(Clone, Default)]
pub struct Unanswered {
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The last entry that each leaves behind, in order.
    ends: VecDeque<Option<LogId>>,
    /// An answer was told and may not have been taken in.
    is_telling: bool,
    waiting: Option<Waker>,
}

impl Unanswered {
    /// `requests`, each noted as it is handed out.
    pub fn note<S>(&self, requests: S) -> Noted<S> {
        Noted { requests, unanswered: self.clone() }
    }

    /// Whoever asks for an answer has taken in the one before.
    pub fn taken_in(&self) {
        let mut state = self.shared.lock();
        state.is_telling = false;
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }

    /// Whether the answer to the oldest request is to be told, which has one now.
    pub fn tell(&self, answer: &Appended) -> bool {
        let mut state = self.shared.lock();
        state.ends.pop_front();
        let is_repeated = |end: &Option<LogId>| answer.as_ref().is_ok_and(|matching| end <= matching);
        state.is_telling = !state.ends.front().is_some_and(is_repeated);
        state.is_telling
    }
}

/// The last entry that whoever takes a request has then.
pub fn end_of(request: &AppendEntriesRequest<TypeConfig>) -> Option<LogId> {
    request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id)
}

/// Requests that are noted as they are handed out.
pub struct Noted<S> {
    requests: S,
    unanswered: Unanswered,
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> Stream for Noted<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let unanswered = self.unanswered.clone();
        // Held over the inner call: openraft notes the time in there.
        let mut state = unanswered.shared.lock();
        if state.is_telling {
            state.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        let next = self.requests.poll_next_unpin(context);
        if let Poll::Ready(Some(request)) = &next {
            state.ends.push_back(end_of(request));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::{LogEntry, Vote};
    use futures::{FutureExt, stream};
    use openraft::alias::LeaderIdOf;
    use openraft::entry::RaftEntry;
    use openraft::raft::StreamAppendError;
    use openraft::vote::RaftLeaderId;

    fn at(index: u64) -> LogId {
        LogId::new(LeaderIdOf::<TypeConfig>::new(1, 1), index)
    }

    /// A request with the entries behind `previous` up to `last`.
    fn request(previous: u64, last: u64) -> AppendEntriesRequest<TypeConfig> {
        let entries = (previous + 1..=last).map(|index| LogEntry::new_blank(at(index))).collect();
        let prev_log_id = Some(at(previous));
        AppendEntriesRequest { vote: Vote::new(1, 1), prev_log_id, entries, leader_commit: None }
    }

    #[test]
    fn an_answer_that_a_later_one_repeats_is_not_told() {
        let unanswered = Unanswered::default();
        let mut requests = unanswered.note(stream::iter([request(0, 2), request(2, 2), request(2, 3)]));
        while requests.next().now_or_never().flatten().is_some() {}
        assert!(!unanswered.tell(&Ok(Some(at(2)))), "its time would be that of the empty request");
        assert!(unanswered.tell(&Ok(Some(at(2)))));
        assert!(unanswered.tell(&Ok(Some(at(3)))));
    }

    #[test]
    fn what_is_refused_is_told_at_once() {
        let unanswered = Unanswered::default();
        let mut requests = unanswered.note(stream::iter([request(2, 2), request(2, 2)]));
        while requests.next().now_or_never().flatten().is_some() {}
        assert!(unanswered.tell(&Err(StreamAppendError::Conflict(at(2)))));
    }

    #[test]
    fn no_request_is_handed_out_between_an_answer_and_its_taking_in() {
        let unanswered = Unanswered::default();
        let mut requests = unanswered.note(stream::iter([request(0, 2), request(2, 2)]));
        assert!(requests.next().now_or_never().flatten().is_some());
        assert!(unanswered.tell(&Ok(Some(at(2)))));
        let mut next = requests.next();
        assert!((&mut next).now_or_never().is_none(), "it would be taken for what was answered");
        unanswered.taken_in();
        assert!(next.now_or_never().flatten().is_some());
    }
}
