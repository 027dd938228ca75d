//! Views of one message: its MIME tree, envelope, sections, decoded content, IMAP text forms, search and preview.
//! A message goes in as chunks (`Scanner`) or is read by ranges (`ReadAt`); it is never held whole.
//! This module never opens a file, never alters a message, and refuses none: odd input gives a coarser view.
//!
//! The usual way: at delivery every chunk is pushed into a [`Scanner`], whose [`Digest`] is stored beside the
//! message. Everything IMAP asks later is made from the digest alone, or from it and the file by ranges.

mod address;
mod charset;
mod content;
mod date;
mod digest;
mod envelope;
mod header;
mod imap_text;
mod needle;
mod parameters;
mod part_header;
mod preview;
#[cfg(test)]
mod properties;
mod raw_text;
mod read_at;
mod scanner;
mod search;
mod section;
mod structure;
#[cfg(test)]
mod testing;
mod transfer;
mod tree;

pub use address::Address;
pub use date::SentDate;
pub use digest::{Digest, DigestSummary};
pub use envelope::{AddressField, Envelope};
pub use header::{Field, Fields, FilterMode, decode_text, fields, filter_fields, unfold};
pub use imap_text::{body_text, bodystructure_text, envelope_text, nstring, string};
pub use needle::Needle;
pub use parameters::Parameter;
pub use preview::preview;
pub use raw_text::RawText;
pub use read_at::{RangeReader, ReadAt, read_range};
pub use scanner::Scanner;
pub use search::{TextSearch, envelope_contains, header_contains};
pub use section::{SectionKind, find_part, section_range};
pub use structure::{Disposition, Part, Structure};
pub use transfer::{Decoder, TransferEncoding, UnknownEncoding, decoded_size};
