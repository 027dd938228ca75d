//! The text of a part as a stream: its octets by ranges, through transfer decoding and charset, piece by piece.
//! Shared by search and preview; holds one chunk at a time.

use std::io;
use std::ops::ControlFlow;

use super::charset::CharsetDecoder;
use super::read_at::{RangeReader, ReadAt};
use super::structure::Part;
use super::transfer::{Decoder, TransferEncoding};

/// Feeds the decoded text of a part to `visit` until it breaks. A part in an unknown transfer encoding is taken as
/// it stands: what is readable in it is found.
pub(super) fn visit_text(
    part: &Part,
    source: &mut dyn ReadAt,
    mut visit: impl FnMut(&str) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut transfer = Decoder::new(part.transfer_encoding()).or_else(|_| Decoder::new(TransferEncoding::Identity));
    let mut charset = CharsetDecoder::new(part.charset().as_deref());
    let mut reader = RangeReader::new(source, part.body.clone());
    let mut content = Vec::new();
    let mut text = String::new();
    loop {
        content.clear();
        text.clear();
        let is_last = match (reader.next_chunk()?, &mut transfer) {
            (Some(chunk), Ok(transfer)) => {
                transfer.push(chunk, &mut content);
                false
            }
            (None, Ok(transfer)) => {
                transfer.finish(&mut content);
                true
            }
            (_, Err(_)) => return Ok(()),
        };
        charset.push(&content, is_last, &mut text);
        if visit(&text).is_break() || is_last {
            return Ok(());
        }
    }
}
