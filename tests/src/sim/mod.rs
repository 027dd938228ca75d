//! The simulation: whole nodes, three and more, in one thread, from one seed.
//!
//! The real rules, storage, agreement and openraft run on simulated time, network and disks. Faults and clients are drawn
//! from the seed; the same seed gives the same trace (I12), so whatever a seed finds can be looked at again.
//!
//! ```text
//! run → world (host: disk, rows, clock, node | network → pipe) ← nemesis, client, sessions → book → checks
//!       executor: which task goes next, what time it is, what has happened (hash)
//! ```

mod book;
mod changes;
pub mod checks;
mod client;
pub mod executor;
mod host;
mod nemesis;
mod network;
mod pipe;
mod queue;
pub mod random;
mod run;
pub mod sessions;
mod world;

pub use run::{Outcome, Settings, run};
