//! Tests of the SMTP, submission and LMTP machines from outside: transcripts, properties, both machines back to back,
//! and the replay of the committed fuzz corpus.
#![forbid(unsafe_code)]

mod both_sides;
mod client_driver;
mod corpus;
mod driver;
mod properties;
mod transcripts;
