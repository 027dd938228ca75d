//! Storage's completions as futures: it calls back from its own threads, openraft awaits.

use std::io;
use storage::Done;
use tokio::sync::oneshot;

/// Awaits what `start` hands its completion to. When storage drops the completion uncalled, that is an error.
pub async fn completed<T: Send + 'static>(start: impl FnOnce(Done<T>)) -> io::Result<T> {
    let (done, outcome) = oneshot::channel();
    start(Box::new(move |result| {
        // Nobody listens when the group was stopped meanwhile.
        let _ = done.send(result);
    }));
    outcome.await.unwrap_or_else(|_| Err(io::Error::other("storage has stopped")))
}
