//! Tasks that run beside the one that began them.

use super::simulation::{self, Killed};
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Runs a task. It goes on when the handle is dropped.
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(simulation) = simulation::current() else {
        return JoinHandle { inner: Inner::Tokio(tokio::spawn(task)) };
    };
    let (told, outcome) = oneshot::channel();
    let number = simulation.spawn(Box::pin(async move {
        let done = AssertUnwindSafe(task).catch_unwind().await;
        // Nobody listens when the handle was dropped.
        let _ = told.send(done.map_err(|payload| JoinError::of_panic(&*payload)));
    }));
    JoinHandle { inner: Inner::Simulated { number, outcome } }
}

/// What a task becomes when it is done.
pub struct JoinHandle<T> {
    inner: Inner<T>,
}

enum Inner<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Simulated { number: u64, outcome: oneshot::Receiver<Result<T, JoinError>> },
}

impl<T> JoinHandle<T> {
    /// Drops the task, if it is not done.
    pub fn abort(&self) {
        match &self.inner {
            Inner::Tokio(handle) => handle.abort(),
            Inner::Simulated { number, .. } => {
                if let Some(simulation) = simulation::current() {
                    simulation.abort(*number);
                }
            }
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().inner {
            Inner::Tokio(handle) => Pin::new(handle).poll(context).map_err(JoinError::from),
            Inner::Simulated { outcome, .. } => {
                let dropped = || Err(JoinError { has_panicked: false, reason: "the task was dropped".into() });
                Pin::new(outcome).poll(context).map(|outcome| outcome.unwrap_or_else(|_| dropped()))
            }
        }
    }
}

/// Why a task or blocking work did not get done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct JoinError {
    has_panicked: bool,
    reason: String,
}

impl JoinError {
    /// Whether it panicked; otherwise it was dropped.
    pub fn is_panic(&self) -> bool {
        self.has_panicked
    }

    /// What a panic of the simulation's becomes; the simulation is told.
    pub(super) fn of_panic(payload: &(dyn Any + Send)) -> Self {
        if payload.is::<Killed>() {
            return JoinError { has_panicked: false, reason: "the task was dropped".into() };
        }
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        if let Some(simulation) = simulation::current() {
            simulation.panicked(&text);
        }
        JoinError { has_panicked: true, reason: format!("panicked: {text}") }
    }
}

impl From<tokio::task::JoinError> for JoinError {
    fn from(error: tokio::task::JoinError) -> Self {
        JoinError { has_panicked: error.is_panic(), reason: error.to_string() }
    }
}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        std::io::Error::other(error)
    }
}
