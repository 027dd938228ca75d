//! The async runtime, sized for the machine in this one place.

use std::io;
use std::thread::available_parallelism;
use tokio::runtime::{Builder, Runtime};

/// Threads for blocking reads and hashing. They are made on demand and end when idle.
const BLOCKING_THREADS_MAX: usize = 128;

/// Processors this process may use.
pub fn processors() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A worker per processor.
///
/// # Errors
/// When the system gives no threads.
pub fn build() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(processors())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("worker")
        .enable_all()
        .build()
}
