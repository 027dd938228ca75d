//! What a frame of bodies holds.

use bytes::Bytes;
use model::BodyHash;
use serde::{Deserialize, Serialize};

/// A part of a frame. The parts of one body follow each other without another body between them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// The next bytes of a body.
    Part {
        /// Which.
        hash: BodyHash,
        /// Its next bytes; empty only for an empty body.
        bytes: Bytes,
        /// Whether it ends with them.
        last: bool,
    },
    /// The node that was asked has no such body.
    Absent(BodyHash),
}
