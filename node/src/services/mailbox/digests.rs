//! The digest cache: one small record per message (envelope, sent date, MIME tree), made when first needed and kept in
//! storage's `cache` column. Safe to lose: a record that is absent, old or unreadable is made again from the body.

use super::source::MessageSource;
use model::codec;
use protocols::mime::{Digest, DigestSummary, Scanner, Structure};
use std::io;

/// How much of a digest a plan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the MIME tree, which is left empty: several times cheaper to decode.
    Summary,
    /// All of it.
    Whole,
}

/// Makes a digest from the body.
///
/// # Errors
/// When the body cannot be read.
pub fn make(source: &MessageSource<'_>) -> io::Result<Digest> {
    let mut scanner = Scanner::new();
    source.pieces(0..source.size(), &mut |piece| {
        scanner.push(piece);
        Ok(())
    })?;
    Ok(scanner.finish_digest())
}

/// `length of the summary, u32 | summary | structure`, so that a summary is read without the tree behind it.
pub fn encode(digest: &Digest) -> Vec<u8> {
    let summary = DigestSummary {
        version: digest.version,
        size: digest.size,
        sent_date: digest.sent_date,
        envelope: digest.envelope.clone(),
    };
    let summary = codec::encode(&summary);
    let length = u32::try_from(summary.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), summary.as_slice(), &codec::encode(&digest.structure)].concat()
}

/// Reads what [`encode`] wrote; `None` when it is not of this version.
pub fn decode(record: &[u8], part: Part) -> Option<Digest> {
    let (length, rest) = record.split_first_chunk::<4>()?;
    let (summary, structure) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let DigestSummary { version, size, sent_date, envelope } = codec::decode(summary).ok()?;
    let structure = match part {
        Part::Summary => Structure::default(),
        Part::Whole => codec::decode(structure).ok()?,
    };
    Some(Digest { version, size, sent_date, envelope, structure }).filter(Digest::is_current)
}
