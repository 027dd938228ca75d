//! Charsets of bodies and parameters into UTF-8, whole or streaming, by the names mail uses (encoding_rs).
//! An unknown name is read as UTF-8 with stray octets replaced.

use encoding_rs::{Encoding, UTF_8};

/// The encoding a charset name means; no name and US-ASCII are UTF-8, which contains it and is what octets above
/// 127 in such texts usually are (the name's own entry in the WHATWG table is windows-1252).
pub(super) fn encoding_of(name: Option<&[u8]>) -> &'static Encoding {
    let is_ascii = |name: &&[u8]| name.eq_ignore_ascii_case(b"us-ascii") || name.eq_ignore_ascii_case(b"ascii");
    let name = name.map(<[u8]>::trim_ascii).filter(|name| !is_ascii(name));
    name.and_then(Encoding::for_label).unwrap_or(UTF_8)
}

/// Decodes a whole text.
pub(super) fn decode(name: &[u8], text: &[u8]) -> String {
    encoding_of(Some(name)).decode_without_bom_handling(text).0.into_owned()
}

/// A streaming decoder: any chunking of the input gives the same text.
pub(super) struct CharsetDecoder {
    decoder: encoding_rs::Decoder,
}

impl CharsetDecoder {
    pub(super) fn new(name: Option<&[u8]>) -> Self {
        Self { decoder: encoding_of(name).new_decoder_without_bom_handling() }
    }

    /// Appends the text of one chunk; `is_last` flushes a sequence cut short.
    pub(super) fn push(&mut self, chunk: &[u8], is_last: bool, into: &mut String) {
        let needed = self.decoder.max_utf8_buffer_length(chunk.len()).unwrap_or(chunk.len());
        into.reserve(needed);
        // The reserve above is the decoder's own worst case, so the output cannot fill up.
        let _ = self.decoder.decode_to_string(chunk, into, is_last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_split_between_chunks_is_whole() {
        let mut decoder = CharsetDecoder::new(Some(b"utf-8"));
        let mut text = String::new();
        for octet in "é€".as_bytes() {
            decoder.push(&[*octet], false, &mut text);
        }
        decoder.push(b"\xc3", false, &mut text);
        decoder.push(b"", true, &mut text);
        assert_eq!(text, "é€\u{fffd}");
    }

    #[test]
    fn names_are_found_without_case_and_unknown_ones_are_utf8() {
        assert_eq!(decode(b"ISO-8859-15", b"\xa4"), "€");
        assert_eq!(decode(b"x-nowhere", "é".as_bytes()), "é");
        assert_eq!(decode(b"US-ASCII", "é".as_bytes()), "é");
    }
}
