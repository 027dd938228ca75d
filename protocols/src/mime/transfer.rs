//! Content-Transfer-Encoding (RFC 2045 section 6) decoded as a stream: encoded chunks in, content out.
//! Broken input never fails: what is no code is skipped (base64) or passed on (quoted-printable).

use std::io;

use super::read_at::{RangeReader, ReadAt};
use super::structure::Part;
use crate::limits::mime::QUOTED_PRINTABLE_SPACE_BYTES_MAX;

/// A transfer encoding by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary or absent: the body is the content.
    Identity,
    /// base64
    Base64,
    /// quoted-printable
    QuotedPrintable,
    /// Any other name: the content cannot be known.
    Unknown,
}

/// The part's transfer encoding is not one this server decodes: IMAP answers NO [UNKNOWN-CTE] (RFC 3516 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown content transfer encoding")]
pub struct UnknownEncoding;

impl TransferEncoding {
    /// From the field's value in lower case; `None` is 7bit.
    pub fn from_name(name: Option<&str>) -> Self {
        match name {
            None | Some("7bit" | "8bit" | "binary") => Self::Identity,
            Some("base64") => Self::Base64,
            Some("quoted-printable") => Self::QuotedPrintable,
            Some(_) => Self::Unknown,
        }
    }
}

/// A streaming decoder. Any chunking of the input gives the same output.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Identity,
    Base64(Base64),
    QuotedPrintable(QuotedPrintable),
}

impl Decoder {
    /// A decoder for an encoding; fails for one that is unknown.
    pub fn new(encoding: TransferEncoding) -> Result<Self, UnknownEncoding> {
        let state = match encoding {
            TransferEncoding::Identity => State::Identity,
            TransferEncoding::Base64 => State::Base64(Base64::default()),
            TransferEncoding::QuotedPrintable => State::QuotedPrintable(QuotedPrintable::default()),
            TransferEncoding::Unknown => return Err(UnknownEncoding),
        };
        Ok(Self { state })
    }

    /// Decodes a chunk and appends the content to `into`: at most `chunk.len()` octets and a little held back before.
    pub fn push(&mut self, chunk: &[u8], into: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => into.extend_from_slice(chunk),
            State::Base64(base64) => base64.push(chunk, into),
            State::QuotedPrintable(quoted_printable) => quoted_printable.push(chunk, into),
        }
    }

    /// Appends what was held back for more input. Call once, behind the last chunk.
    pub fn finish(&mut self, into: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => {}
            State::Base64(base64) => base64.flush(into),
            State::QuotedPrintable(quoted_printable) => quoted_printable.finish(into),
        }
    }
}

/// Octets of a part's decoded content, found by decoding it (BINARY.SIZE). `Ok(Err(_))` when it cannot be decoded.
pub fn decoded_size(part: &Part, source: &mut dyn ReadAt) -> io::Result<Result<u64, UnknownEncoding>> {
    let mut decoder = match Decoder::new(part.transfer_encoding()) {
        Ok(decoder) => decoder,
        Err(unknown) => return Ok(Err(unknown)),
    };
    if part.transfer_encoding() == TransferEncoding::Identity {
        return Ok(Ok(part.body.end - part.body.start));
    }
    let mut reader = RangeReader::new(source, part.body.clone());
    let mut content = Vec::new();
    let mut size = 0;
    while let Some(chunk) = reader.next_chunk()? {
        decoder.push(chunk, &mut content);
        size += content.len() as u64;
        content.clear();
    }
    decoder.finish(&mut content);
    Ok(Ok(size + content.len() as u64))
}

/// Not part of the alphabet (RFC 2045 section 6.8): "must be ignored by decoding software".
const SKIP: u8 = 0xff;
/// `=`: the end of the data (RFC 2045 section 6.8); lists append plain text behind it.
const PAD: u8 = 0xfe;

const BASE64_VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [SKIP; 256];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values[b'=' as usize] = PAD;
    values
};

#[derive(Debug, Default)]
struct Base64 {
    bits: u32,
    digits: u8,
    is_ended: bool,
}

impl Base64 {
    fn push(&mut self, chunk: &[u8], into: &mut Vec<u8>) {
        into.reserve(chunk.len() / 4 * 3 + 3);
        let mut rest = chunk;
        while !self.is_ended && !rest.is_empty() {
            if self.digits == 0 {
                rest = decode_quads(rest, into);
            }
            let Some((&octet, tail)) = rest.split_first() else { return };
            rest = tail;
            match BASE64_VALUES[usize::from(octet)] {
                SKIP => {}
                PAD => {
                    self.flush(into);
                    self.is_ended = true;
                }
                value => self.push_digit(value, into),
            }
        }
    }

    fn push_digit(&mut self, value: u8, into: &mut Vec<u8>) {
        self.bits = self.bits << 6 | u32::from(value);
        self.digits += 1;
        if self.digits == 4 {
            into.extend_from_slice(&self.bits.to_be_bytes()[1..]);
            *self = Self::default();
        }
    }

    /// Passes on what the last digits hold: two digits hold one octet, three hold two, one holds none.
    fn flush(&mut self, into: &mut Vec<u8>) {
        let missing = 4 - u32::from(self.digits);
        let octets = (self.bits << (6 * missing)).to_be_bytes();
        into.extend_from_slice(match self.digits {
            2 => &octets[1..2],
            3 => &octets[1..3],
            _ => &[],
        });
        *self = Self::default();
    }
}

/// Decodes groups of four digits up to the first octet that is none; returns the input from that group on.
fn decode_quads<'a>(chunk: &'a [u8], into: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = chunk;
    while let [first, second, third, fourth, tail @ ..] = rest {
        let values = [first, second, third, fourth].map(|octet| BASE64_VALUES[usize::from(*octet)]);
        if values.iter().any(|&value| value >= PAD) {
            break;
        }
        let bits = values.iter().fold(0, |bits, &value| bits << 6 | u32::from(value));
        into.extend_from_slice(&bits.to_be_bytes()[1..]);
        rest = tail;
    }
    rest
}

/// Octets that cannot be passed on before the next ones are seen: an escape begun, or white space that is dropped
/// if the line ends behind it (RFC 2045 section 6.7 rule 3).
#[derive(Debug, Default)]
struct QuotedPrintable {
    held: Vec<u8>,
}

impl QuotedPrintable {
    fn push(&mut self, chunk: &[u8], into: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            if self.held.is_empty() {
                let plain = rest.iter().position(|octet| matches!(octet, b'=' | b' ' | b'\t')).unwrap_or(rest.len());
                into.extend_from_slice(&rest[..plain]);
                let Some((&special, tail)) = rest[plain..].split_first() else { return };
                self.held.push(special);
                rest = tail;
            } else if self.held.first() == Some(&b'=') {
                rest = &rest[self.escape(first, into)..];
            } else {
                rest = &rest[self.white_space(first, into)..];
            }
        }
    }

    /// One more octet behind white space; returns how many octets it used up.
    fn white_space(&mut self, octet: u8, into: &mut Vec<u8>) -> usize {
        match octet {
            b' ' | b'\t' if self.held.len() < QUOTED_PRINTABLE_SPACE_BYTES_MAX => {
                self.held.push(octet);
                1
            }
            // CR is taken for the start of CRLF; a lone one loses the white space before it, which is harmless.
            b'\r' | b'\n' => {
                self.held.clear();
                into.push(octet);
                1
            }
            _ => {
                into.append(&mut self.held);
                0
            }
        }
    }

    /// One more octet behind `=`; returns how many octets it used up.
    fn escape(&mut self, octet: u8, into: &mut Vec<u8>) -> usize {
        let hex = |octet: u8| (octet as char).to_digit(16);
        match (self.held.as_slice(), octet) {
            // A soft line break, maybe with white space in between (RFC 2045 section 6.7 rule 3 note).
            (_, b'\n') if self.held.get(1).is_none_or(u8::is_ascii_whitespace) => {
                self.held.clear();
                1
            }
            ([b'='] | [b'=', b' ' | b'\t', ..], b' ' | b'\t' | b'\r')
                if self.held.len() < QUOTED_PRINTABLE_SPACE_BYTES_MAX && self.held.last() != Some(&b'\r') =>
            {
                self.held.push(octet);
                1
            }
            ([b'='], digit) if hex(digit).is_some() => {
                self.held.push(digit);
                1
            }
            (&[b'=', high], low) if let (Some(high), Some(low)) = (hex(high), hex(low)) => {
                self.held.clear();
                into.push((high << 4 | low) as u8);
                1
            }
            // RFC 2045 section 6.7: a robust implementation passes a wrong escape on as it is.
            _ => {
                into.append(&mut self.held);
                0
            }
        }
    }

    fn finish(&mut self, into: &mut Vec<u8>) {
        match self.held.as_slice() {
            [b'=', high, ..] if !high.is_ascii_whitespace() => into.append(&mut self.held),
            // White space at the end of the last line, or a soft line break cut short.
            _ => self.held.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_in_chunks(encoding: TransferEncoding, text: &[u8], chunk_bytes: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(encoding).unwrap();
        let mut content = Vec::new();
        for chunk in text.chunks(chunk_bytes) {
            decoder.push(chunk, &mut content);
        }
        decoder.finish(&mut content);
        content
    }

    fn decode(encoding: TransferEncoding, text: &str) -> String {
        let whole = decode_in_chunks(encoding, text.as_bytes(), usize::MAX);
        for chunk_bytes in 1..5 {
            assert_eq!(decode_in_chunks(encoding, text.as_bytes(), chunk_bytes), whole, "{text:?} by {chunk_bytes}");
        }
        String::from_utf8_lossy(&whole).into_owned()
    }

    #[test]
    fn base64_is_decoded_with_anything_in_between() {
        let decode = |text| decode(TransferEncoding::Base64, text);
        assert_eq!(decode("aGVsbG8gd29ybGQ="), "hello world");
        assert_eq!(decode("aGVs\r\nbG8g d29y!bGQ=\r\n"), "hello world");
        assert_eq!(decode("aGVsbG8=\r\n___\r\nlist footer"), "hello");
        assert_eq!(decode("aGVsbG8"), "hello");
        assert_eq!(decode("a"), "");
        assert_eq!(decode("===="), "");
    }

    #[test]
    fn quoted_printable_is_decoded() {
        let decode = |text| decode(TransferEncoding::QuotedPrintable, text);
        assert_eq!(decode("caf=C3=A9=20=3d ok"), "café = ok");
        assert_eq!(decode("soft=\r\nbreak=\nhere= \t\r\n."), "softbreakhere.");
        assert_eq!(decode("trailing \t \r\nspace  \nend  "), "trailing\r\nspace\nend");
        assert_eq!(decode("wrong =ZZ =4 =\r = x="), "wrong =ZZ =4 =\r = x");
        assert_eq!(decode("a  b"), "a  b");
    }

    #[test]
    fn unknown_encodings_are_refused() {
        assert_eq!(Decoder::new(TransferEncoding::from_name(Some("x-uue"))).unwrap_err(), UnknownEncoding);
        assert_eq!(TransferEncoding::from_name(Some("8bit")), TransferEncoding::Identity);
        assert_eq!(TransferEncoding::from_name(None), TransferEncoding::Identity);
    }

    #[test]
    fn the_decoded_size_is_the_length_of_the_content() {
        let mut message: &[u8] = b"\r\naGVsbG8=\r\n";
        let mut part = Part { body: 2..12, encoding: Some("base64".into()), ..Part::default() };
        assert_eq!(decoded_size(&part, &mut message).unwrap(), Ok(5));
        part.encoding = None;
        assert_eq!(decoded_size(&part, &mut message).unwrap(), Ok(10));
        part.encoding = Some("x-own".into());
        assert_eq!(decoded_size(&part, &mut message).unwrap(), Err(UnknownEncoding));
    }

    #[test]
    fn a_long_run_of_white_space_is_not_held_for_ever() {
        let text = " ".repeat(QUOTED_PRINTABLE_SPACE_BYTES_MAX * 3) + "x";
        assert_eq!(decode(TransferEncoding::QuotedPrintable, &text), text);
    }
}
