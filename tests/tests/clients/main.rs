//! Clients that others wrote, against the built binary: what they send is what they read back, and what Python's
//! Maildir reader finds when the node is stopped. A client that is not installed is said to be missing; with `CI=true`
//! that is a failure.

mod curl;
mod mbsync;
mod neomutt;
mod python;
mod swaks;
mod world;
