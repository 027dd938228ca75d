//! What a simulation does in tokio's place. It is entered on one thread, and everything that begins on that thread until
//! it is left belongs to it.

use futures::future::BoxFuture;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;
use tokio::time::Instant;

/// Runs tasks on a clock of its own.
pub trait Simulation: 'static {
    /// The time since the simulation began.
    fn now(&self) -> Duration;

    /// Runs a task; gives a number for it that is never used twice.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> u64;

    /// Drops a task, now or when it is next looked at. One that has ended is no error.
    fn abort(&self, task: u64);

    /// A number for a timer that is never used twice.
    fn new_timer(&self) -> u64;

    /// Wakes `waker` once `at` has come; replaces what the same timer was armed with before.
    fn arm(&self, at: Duration, timer: u64, waker: &Waker);

    /// Forgets a timer; one that has rung or was never armed is no error.
    fn disarm(&self, at: Duration, timer: u64);

    /// The next random number.
    fn random(&self) -> u64;

    /// Runs other tasks until `future` is done: the task that is running waits inside of what cannot await. Unwinds with
    /// [`Killed`] when that task is to go meanwhile.
    fn run_until(&self, future: Pin<&mut dyn Future<Output = ()>>);

    /// A task or blocking work has panicked.
    fn panicked(&self, message: &str);
}

/// What a task that is dropped while it waits unwinds with.
pub struct Killed;

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Current {
    simulation: Rc<dyn Simulation>,
    /// Instants of the simulation are those of the machine from here on.
    beginning: Instant,
}

/// Leaves the simulation when it is dropped.
pub struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.set(false);
        drop(CURRENT.take());
    }
}

/// Enters a simulation on this thread. Another one that was entered is left.
#[must_use]
pub fn enter(simulation: Rc<dyn Simulation>) -> Entered {
    CURRENT.replace(Some(Current { simulation, beginning: Instant::now() }));
    ENTERED.set(true);
    Entered(())
}

/// The simulation of this thread.
pub(super) fn current() -> Option<Rc<dyn Simulation>> {
    if !ENTERED.get() {
        return None;
    }
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.simulation.clone()))
}

/// The simulation's time as an instant.
pub(super) fn now() -> Option<Instant> {
    if !ENTERED.get() {
        return None;
    }
    let current = CURRENT.with_borrow(Clone::clone)?;
    Some(current.beginning + current.simulation.now())
}

/// An instant as the time since the simulation began.
pub(super) fn since_beginning(instant: Instant) -> Duration {
    let beginning = CURRENT.with_borrow(|current| current.as_ref().map(|current| current.beginning));
    beginning.map_or(Duration::ZERO, |beginning| instant.saturating_duration_since(beginning))
}
