//! Where tasks run and what time it is: tokio, unless a simulation is entered on this thread, which then runs every task
//! on its own clock from its own seed (I12).
//!
//! All of this crate spawns, sleeps, waits with a deadline, blocks and draws random numbers through here. Which of both
//! carries it out is looked up when it begins, so there is one build for both; outside a simulation that look is all it
//! costs. Channels and locks of tokio need no runtime and are used as they are, `select!` only `biased`.

mod blocking;
mod clock;
mod random;
pub mod simulation;
mod task;
mod timer;

pub use blocking::{Waiter, blocking};
pub use clock::Instant;
pub use random::{fill_random, random};
pub use task::{JoinError, JoinHandle, spawn};
pub use timer::{Elapsed, Sleep, Ticks, Timeout, sleep, sleep_until, ticks, timeout, timeout_at};
