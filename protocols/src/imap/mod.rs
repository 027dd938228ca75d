//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051), server side, sans-io: bytes in, bytes and requests out. Knows no
//! socket, clock, task or store.
//!
//! How a driver runs a [`Session`]:
//! 1. `handle_input(&mut buffer)`: the session takes what it can use now and leaves the rest. Read from the socket only
//!    while the buffer is short (64 KiB is enough for everything): that is the back-pressure.
//! 2. `poll()` until it says `None`, doing each [`Output`] before asking for the next. After every output and every
//!    answer call `handle_input` again: the session may now be willing to take more.
//! 3. [`Output::Call`] is answered with `reply`, sasl outputs with `sasl_material`, `password_result` or `scram_keys`, StartTls with
//!    `tls_started`, StartCompress with `compress_started`. Only one of them is outstanding at a time.
//! 4. [`store::Request::Fetch`] is done by calling [`fetch::render`] for each message of the plan, in order, with a sink
//!    that writes to the client; messages that are gone are left out. After an error in the middle of a response the
//!    connection has to be closed. [`store::Request::Search`] calls [`search::matches`] for each candidate. Both may
//!    read bodies, so they belong on a thread that may block.
//! 5. At any time: `mailbox_changed` (the selected folder has news), `timeout`, `shutdown`.

mod command;
mod core;
mod date;
mod encode;
pub mod fetch;
mod mailbox_name;
mod output;
pub mod parser;
pub mod search;
mod session;
pub mod snapshot;
pub mod store;
pub mod uids;

pub use core::{Config, Features};
pub use output::Output;
pub use session::Session;
