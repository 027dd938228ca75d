//! SMTP and LMTP: the server and client machines and the message fields that belong to transport.
//! No sockets, clocks, DNS or storage: a driver owns them and talks to the machines.

pub mod bounce;
pub mod client;
mod command;
mod data;
mod envelope;
pub mod header_peek;
mod input;
pub mod received;
mod reply;
pub mod server;
pub mod submission;
pub mod xtext;

pub use envelope::{Body, Envelope, Mail, Notify, OriginalRecipient, Recipient, Return, TlsInfo, Transport};
pub use reply::{EnhancedCode, Reply};
