//! Message bodies on their way between nodes: which are asked for goes out, pieces of them come back and are staged.
//!
//! Bodies travel beside the log, on the bulk lane, in frames that carry many small bodies or a part of a large one.
//! What a body is for is not known here.

mod fetch;
pub mod mend;
mod piece;
mod serve;

pub use fetch::{Arrivals, FetchError, fetch, missing};
pub use serve::{Asked, serve};
