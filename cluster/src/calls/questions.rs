//! One question about a group on its way at a time. Whoever comes meanwhile shares the next one, which starts after
//! they came and so knows all that was acknowledged before.

use crate::error::ReadError;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use model::GroupId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

type Question = Shared<BoxFuture<'static, Result<u64, ReadError>>>;

/// The questions of a node. One entry per group at most.
#[derive(Default)]
pub struct Questions {
    rounds: Mutex<HashMap<GroupId, Arc<Round>>>,
}

#[derive(Default)]
struct Round {
    turn: tokio::sync::Mutex<()>,
    /// Not asked yet: newcomers may join.
    next: Mutex<Option<Question>>,
}

impl Questions {
    /// The answer to a question that is asked after this call.
    pub async fn ask<F>(&self, group: GroupId, question: impl FnOnce() -> F) -> Result<u64, ReadError>
    where
        F: Future<Output = Result<u64, ReadError>> + Send + 'static,
    {
        let round = self.rounds.lock().entry(group).or_default().clone();
        let asking = {
            let mut next = round.next.lock();
            match &*next {
                Some(asking) => asking.clone(),
                None => {
                    let (turns, question) = (round.clone(), question());
                    let asking = async move {
                        // Held over the question: that is what makes it the only one.
                        let _turn = turns.turn.lock().await;
                        turns.next.lock().take();
                        question.await
                    };
                    next.insert(asking.boxed().shared()).clone()
                }
            }
        };
        asking.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use tokio::sync::Notify;

    const GROUP: GroupId = GroupId(1);

    #[tokio::test]
    async fn those_who_come_during_a_question_share_the_next_one() {
        let (questions, asked, go) =
            (Arc::new(Questions::default()), Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let ask = |group| {
            let (questions, asked, go) = (questions.clone(), asked.clone(), go.clone());
            tokio::spawn(async move {
                let question = || async move {
                    let number = asked.fetch_add(1, SeqCst);
                    go.notified().await;
                    Ok(number)
                };
                questions.ask(group, question).await.unwrap()
            })
        };
        let first = ask(GROUP);
        while asked.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let rest: Vec<_> = (0..10).map(|_| ask(GROUP)).collect();
        while questions.rounds.lock()[&GROUP].next.lock().is_none() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        assert_eq!(first.await.unwrap(), 0);
        while asked.load(SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for answer in rest {
            assert_eq!(answer.await.unwrap(), 1);
        }
        assert_eq!(asked.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_question_nobody_waits_for_holds_up_nobody() {
        let questions = Questions::default();
        let dropped = questions.ask(GROUP, std::future::pending);
        assert!(dropped.now_or_never().is_none());
        assert_eq!(questions.ask(GROUP, || async { Ok(5) }).await, Ok(5));
    }
}
