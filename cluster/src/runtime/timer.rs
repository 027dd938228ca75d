//! Sleeping and waiting with a deadline.

use super::{Instant, simulation};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Ends after `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Ends at `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    let inner = match Timer::at(deadline) {
        Some(timer) => SleepInner::Simulated { timer },
        None => SleepInner::Tokio { sleep: tokio::time::sleep_until(deadline.0) },
    };
    Sleep { inner }
}

/// Waits for `future` at most `patience`.
pub fn timeout<F: IntoFuture>(patience: Duration, future: F) -> Timeout<F::IntoFuture> {
    timeout_at(Instant::now() + patience, future)
}

/// Waits for `future` at most until `deadline`.
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    let future = future.into_future();
    let inner = match Timer::at(deadline) {
        Some(timer) => TimeoutInner::Simulated { future, timer },
        None => TimeoutInner::Tokio { timeout: tokio::time::timeout_at(deadline.0, future) },
    };
    Timeout { inner }
}

/// Ticks at once and then every `period`, counted from the tick before: one that is late moves those after it.
pub fn ticks(period: Duration) -> Ticks {
    Ticks { next: Instant::now(), period }
}

/// See [`ticks`].
pub struct Ticks {
    next: Instant,
    period: Duration,
}

impl Ticks {
    /// Waits for the next tick. Cancel-safe.
    pub async fn tick(&mut self) {
        sleep_until(self.next).await;
        self.next = Instant::now() + self.period;
    }
}

/// It did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it did not come in time")]
pub struct Elapsed(());

pin_project! {
    /// See [`sleep`].
    #[must_use = "sleeping is done by awaiting"]
    pub struct Sleep {
        #[pin]
        inner: SleepInner,
    }
}

pin_project! {
    #[project = SleepProjection]
    enum SleepInner {
        Tokio { #[pin] sleep: tokio::time::Sleep },
        Simulated { timer: Timer },
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.project().inner.project() {
            SleepProjection::Tokio { sleep } => sleep.poll(context),
            SleepProjection::Simulated { timer } => timer.poll(context),
        }
    }
}

pin_project! {
    /// See [`timeout`].
    #[must_use = "waiting is done by awaiting"]
    pub struct Timeout<F> {
        #[pin]
        inner: TimeoutInner<F>,
    }
}

pin_project! {
    #[project = TimeoutProjection]
    enum TimeoutInner<F> {
        Tokio { #[pin] timeout: tokio::time::Timeout<F> },
        Simulated { #[pin] future: F, timer: Timer },
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.project() {
            TimeoutProjection::Tokio { timeout } => timeout.poll(context).map_err(|_| Elapsed(())),
            TimeoutProjection::Simulated { future, timer } => match future.poll(context) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => timer.poll(context).map(|()| Err(Elapsed(()))),
            },
        }
    }
}

/// A timer of the simulation of this thread.
struct Timer {
    at: Duration,
    number: u64,
}

impl Timer {
    /// `None` outside a simulation.
    fn at(deadline: Instant) -> Option<Self> {
        let simulation = simulation::current()?;
        Some(Timer { at: simulation::since_beginning(deadline.0), number: simulation.new_timer() })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match simulation::current() {
            Some(simulation) if simulation.now() >= self.at => Poll::Ready(()),
            Some(simulation) => {
                simulation.arm(self.at, self.number, context.waker());
                Poll::Pending
            }
            // The simulation is over: nothing comes any more.
            None => Poll::Pending,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(simulation) = simulation::current() {
            simulation.disarm(self.at, self.number);
        }
    }
}
