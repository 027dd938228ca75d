//! Work that blocks, and waiting for tasks where nothing can be awaited.

use super::simulation::{self, Killed};
use super::task::JoinError;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may block on the disk on a thread for that; in a simulation at once.
pub async fn blocking<T, W>(work: W) -> Result<T, JoinError>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    if simulation::current().is_none() {
        return Ok(tokio::task::spawn_blocking(work).await?);
    }
    match catch_unwind(AssertUnwindSafe(work)) {
        Err(payload) if payload.is::<Killed>() => resume_unwind(payload),
        done => done.map_err(|payload| JoinError::of_panic(&*payload)),
    }
}

/// Waits for futures on behalf of code that is called by blocking work.
pub struct Waiter {
    runtime: Option<Handle>,
}

impl Waiter {
    /// Waits with the runtime, or the simulation, that this is called in.
    pub fn here() -> Self {
        Waiter { runtime: Handle::try_current().ok() }
    }

    /// Waits for `future` where blocking is allowed, or on a worker of a runtime of several threads. An error outside of
    /// any runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> std::io::Result<T> {
        if let Some(simulation) = simulation::current() {
            let mut output = None;
            simulation.run_until(pin!(async { output = Some(future.await) }));
            return output.ok_or_else(|| std::io::Error::other("the simulation has ended"));
        }
        let runtime = self.runtime.as_ref().ok_or_else(|| std::io::Error::other("nothing runs tasks here"))?;
        Ok(match Handle::try_current() {
            Ok(current) if current.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| runtime.block_on(future))
            }
            _ => runtime.block_on(future),
        })
    }
}
