//! The nodes of the cluster and what each holds: which replicas are here, who may join, and what the leaders do to make
//! it what the directory says it shall be.

mod holdings;

pub use holdings::Holdings;
