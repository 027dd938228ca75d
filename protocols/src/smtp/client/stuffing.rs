//! Message data on its way out: adds dot-stuffing and makes every line end CRLF, so that no content can end the data
//! early at any host (SMTP smuggling).

use memchr::memchr2;

/// Encoder of the octets between 354 and CRLF.CRLF.
#[derive(Debug)]
pub(super) struct DotEncoder {
    at_line_start: bool,
    pending_cr: bool,
}

impl DotEncoder {
    pub(super) fn new() -> DotEncoder {
        DotEncoder { at_line_start: true, pending_cr: false }
    }

    /// Appends the encoded bytes.
    pub(super) fn encode(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        output.reserve(bytes.len() + bytes.len() / 64 + 8);
        let mut rest = bytes;
        if self.pending_cr && !rest.is_empty() {
            self.end_line(output);
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(first) = rest.first() {
            // RFC 5321 section 4.5.2: a line that begins with a dot gets another one.
            if self.at_line_start && *first == b'.' {
                output.push(b'.');
            }
            let found = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (text, after) = rest.split_at(found);
            output.extend_from_slice(text);
            self.at_line_start &= text.is_empty();
            rest = match after {
                [] => after,
                [b'\r'] => {
                    self.pending_cr = true;
                    return;
                }
                // RFC 5321 section 2.3.8: CR and LF are sent only together; a lone one becomes a line end.
                [b'\r', b'\n', next @ ..] | [_, next @ ..] => {
                    self.end_line(output);
                    next
                }
            };
        }
    }

    /// Appends what ends the data: a line end if the last line has none, and the final dot.
    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        if self.pending_cr || !self.at_line_start {
            self.end_line(output);
        }
        output.extend_from_slice(b".\r\n");
    }

    fn end_line(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(b"\r\n");
        self.pending_cr = false;
        self.at_line_start = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::data::DotDecoder;
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8], size: usize) -> Vec<u8> {
        let (mut encoder, mut output) = (DotEncoder::new(), Vec::new());
        bytes.chunks(size).for_each(|piece| encoder.encode(piece, &mut output));
        encoder.finish(&mut output);
        output
    }

    #[test]
    fn dots_and_line_ends_are_made_safe() {
        assert_eq!(encoded(b"a\r\n.b\r\n", 100), b"a\r\n..b\r\n.\r\n");
        assert_eq!(encoded(b"a\n.\nb\r.\rc", 100), b"a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n");
        assert_eq!(encoded(b"", 1), b".\r\n");
        assert_eq!(encoded(b"no end", 1), b"no end\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn the_decoder_gives_back_every_message_of_clean_lines(
            lines in prop::collection::vec("[.a]{0,4}", 0..12),
            size in 1..9_usize,
        ) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let (mut decoder, mut output) = (DotDecoder::new(), Vec::new());
            let wire = encoded(message.as_bytes(), size);
            let progress = decoder.decode(&wire, &mut output);
            prop_assert!(progress.ended && progress.consumed == wire.len());
            prop_assert_eq!(output, message.into_bytes());
        }

        #[test]
        fn no_content_ends_the_data_early(
            pieces in prop::collection::vec(prop::sample::select(vec!["\r", "\n", ".", "a"]), 0..20),
            size in 1..9_usize,
        ) {
            let (mut decoder, mut output) = (DotDecoder::new(), Vec::new());
            let wire = encoded(pieces.concat().as_bytes(), size);
            let progress = decoder.decode(&wire, &mut output);
            prop_assert!(progress.ended && progress.consumed == wire.len());
            prop_assert!(!decoder.faults().bare);
        }
    }
}
