//! Storage's completions as futures: it calls back from its own threads, openraft awaits.

use crate::runtime::blocking;
use std::io;
use storage::Done;
use tokio::sync::oneshot;

/// Awaits what `start` hands its completion to. When storage drops the completion uncalled, that is an error.
pub async fn completed<T: Send + 'static>(start: impl FnOnce(Done<T>)) -> io::Result<T> {
    let (done, outcome) = completion();
    start(done);
    outcome.await.unwrap_or_else(|_| Err(stopped()))
}

/// The same for a `start` that reads rows before it hands anything over.
pub async fn completed_blocking<T: Send + 'static>(start: impl FnOnce(Done<T>) + Send + 'static) -> io::Result<T> {
    let (done, outcome) = completion();
    blocking(move || start(done)).await?;
    outcome.await.unwrap_or_else(|_| Err(stopped()))
}

fn completion<T: Send + 'static>() -> (Done<T>, oneshot::Receiver<io::Result<T>>) {
    let (done, outcome) = oneshot::channel();
    let done = move |result| {
        // Nobody listens when the group was stopped meanwhile.
        let _ = done.send(result);
    };
    (Box::new(done), outcome)
}

fn stopped() -> io::Error {
    io::Error::other("storage has stopped")
}
