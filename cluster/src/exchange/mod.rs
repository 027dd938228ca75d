//! Message bodies on their way between nodes: pushed to the replicas that will need them while they arrive, or asked for
//! by name; either way they are staged piece by piece.
//!
//! Bodies travel beside the log, on the bulk lane, in frames that carry many small bodies or a part of a large one.
//! What a body is for is not known here.

mod fetch;
pub mod mend;
mod piece;
mod push;
mod rate;
mod serve;
mod staging;

pub use fetch::{Arrivals, FetchError, fetch, fetch_named, missing};
pub use push::{Push, Pushes};
pub use rate::Rate;
pub use serve::{Asked, serve};
pub use staging::take;
#[cfg(test)]
pub use staging::{StagePart, Taken};
