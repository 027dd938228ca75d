//! One file for each promise that is checked.

pub mod acknowledged;
pub mod bodies;
pub mod exactly_once;
pub mod liveness;
pub mod minority;
pub mod outside;
pub mod replicas;
pub mod sequential;
pub mod uids;
