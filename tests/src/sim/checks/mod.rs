//! One file for each promise that is checked.

pub mod acknowledged;
pub mod bodies;
pub mod compare_and_set;
pub mod exactly_once;
pub mod heard;
pub mod letters;
pub mod liveness;
pub mod minority;
pub mod outside;
pub mod replicas;
pub mod resync;
pub mod sequential;
pub mod told_flags;
pub mod told_marks;
pub mod uids;
pub mod vanishing;
