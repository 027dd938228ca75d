//! From bytes to commands. `framing` cuts the stream, `command` gives it types; the grammar stands above each parser.
//! Never looks at the state of the session, except whether mailbox names are UTF-8.

pub mod append;
pub mod command;
pub mod cursor;
pub mod date;
pub mod fetch;
pub mod flags;
pub mod framing;
pub mod list;
pub mod search;
pub mod select;
pub mod sequence;
pub mod session;
pub mod store;
