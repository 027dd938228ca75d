//! Header sections as octets: walking their fields, unfolding, selecting fields for IMAP, decoding text.
//! Works on one section in memory, which the caller bounds by `HEADER_SECTION_BYTES_MAX`.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use memchr::{memchr, memchr3, memmem};

use crate::limits::mime::ENCODED_WORD_BYTES_MAX;

/// One field of a header section, as it stands in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Before the colon, without white space. A line without a colon is all name.
    pub name: &'a [u8],
    /// Behind the colon, still folded, with its line break.
    pub value: &'a [u8],
    /// The whole field with its folds and line break.
    pub whole: &'a [u8],
}

/// Iterator over the fields of a header section; stops at the blank line.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// Whether [`filter_fields`] keeps the named fields or all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterMode {
    /// HEADER.FIELDS
    Keep,
    /// HEADER.FIELDS.NOT
    Drop,
}

/// The fields of `header`, in order. Line breaks may be CRLF or LF.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

impl<'a> Field<'a> {
    /// Whether this is the field `name`, ASCII case ignored (RFC 5322 section 1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn new(whole: &'a [u8]) -> Self {
        let first_line = &whole[..memchr(b'\n', whole).map_or(whole.len(), |end| end + 1)];
        let (name, value) = match memchr(b':', first_line) {
            Some(colon) => (&whole[..colon], &whole[colon + 1..]),
            None => (first_line, &whole[first_line.len()..]),
        };
        Self { name: name.trim_ascii(), value, whole }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if matches!(self.rest, [] | [b'\n', ..] | [b'\r', b'\n', ..]) {
            return None;
        }
        let length = field_length(self.rest);
        let (whole, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Field::new(whole))
    }
}

/// Octets of the first field: a line and the lines behind it that begin with white space.
fn field_length(section: &[u8]) -> usize {
    let mut length = 0;
    while let Some(end) = memchr(b'\n', &section[length..]) {
        length += end + 1;
        if !matches!(section.get(length), Some(b' ' | b'\t')) {
            return length;
        }
    }
    section.len()
}

/// The fields whose names are in `names` (or are not, by `mode`) as they stand, and the blank line.
/// RFC 9051 section 6.4.5.1: the blank line is always included, except in a message that has neither body nor
/// blank line; the caller knows that case as an empty body range whose header does not end in a blank line.
pub fn filter_fields<N: AsRef<[u8]>>(header: &[u8], names: &[N], mode: FilterMode) -> Vec<u8> {
    let mut selected = Vec::new();
    for field in fields(header) {
        let named = names.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_ref()));
        if named == (mode == FilterMode::Keep) {
            selected.extend_from_slice(field.whole);
            if !field.whole.ends_with(b"\n") {
                selected.extend_from_slice(b"\r\n");
            }
        }
    }
    selected.extend_from_slice(b"\r\n");
    selected
}

/// A field value on one line: line breaks and NULs taken out, white space trimmed at both ends
/// (RFC 5322 section 2.2.3 removes just the CRLF of a fold and keeps the white space behind it).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let trimmed = value.trim_ascii();
    if memchr3(b'\r', b'\n', 0, trimmed).is_none() {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(trimmed.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n' | 0)).collect())
}

/// Decodes a raw header text: encoded words (RFC 2047), raw UTF-8 (RFC 6532); other octets become U+FFFD.
/// White space between two encoded words is not shown (RFC 2047 section 6.2).
pub fn decode_text(raw: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = raw;
    let mut is_behind_word = false;
    // Where to look for the next encoded word; what lies before it in `rest` is plain.
    let mut from = 0;
    while let Some(found) = memmem::find(&rest[from..], b"=?") {
        let start = from + found;
        match decode_word(&rest[start..]) {
            Some((word, length)) => {
                let plain = &rest[..start];
                if !is_behind_word || !plain.iter().all(u8::is_ascii_whitespace) {
                    text.push_str(&String::from_utf8_lossy(plain));
                }
                text.push_str(&word);
                is_behind_word = true;
                rest = &rest[start + length..];
                from = 0;
            }
            None => from = start + 2,
        }
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}

/// `encoded-word = "=?" charset "?" encoding "?" encoded-text "?="` at the start of `raw`: its text and its length.
fn decode_word(raw: &[u8]) -> Option<(String, usize)> {
    let raw = &raw[..raw.len().min(ENCODED_WORD_BYTES_MAX)];
    let charset_bytes = memchr(b'?', raw.get(2..)?)?;
    let text_start = 2 + charset_bytes + 3;
    let text_bytes = memmem::find(raw.get(text_start..)?, b"?=")?;
    let end = text_start + text_bytes + 2;
    Some((MessageStream::new(&raw[1..end]).decode_rfc2047()?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: a@x\r\nSubject: one\r\n two\r\nnot a field\r\nX-Last : 3\r\n\r\nbody: no\r\n";

    #[test]
    fn fields_end_at_the_blank_line() {
        let names: Vec<&[u8]> = fields(HEADER).map(|field| field.name).collect();
        assert_eq!(names, [&b"From"[..], b"Subject", b"not a field", b"X-Last"]);
    }

    #[test]
    fn fields_joined_are_the_section() {
        let joined: Vec<u8> = fields(HEADER).flat_map(|field| field.whole.to_vec()).collect();
        assert!(HEADER.starts_with(&joined));
    }

    #[test]
    fn selected_fields_keep_their_folds_and_end_in_a_blank_line() {
        assert_eq!(filter_fields(HEADER, &["SUBJECT", "absent"], FilterMode::Keep), b"Subject: one\r\n two\r\n\r\n");
        assert_eq!(filter_fields(HEADER, &["absent"], FilterMode::Keep), b"\r\n");
        assert_eq!(filter_fields(HEADER, &["from", "subject"], FilterMode::Drop), b"not a field\r\nX-Last : 3\r\n\r\n");
    }

    #[test]
    fn a_last_field_without_line_break_gets_one() {
        assert_eq!(filter_fields(b"A: b", &["a"], FilterMode::Keep), b"A: b\r\n\r\n");
    }

    #[test]
    fn unfolding_keeps_the_white_space_of_the_fold() {
        assert_eq!(&*unfold(b" one\r\n two\n\tthree \r\n"), b"one two\tthree");
        assert_eq!(&*unfold(b" a\0b"), b"ab");
    }

    #[test]
    fn encoded_words_are_decoded() {
        assert_eq!(decode_text(b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus K"), "Grüße aus K");
        assert_eq!(decode_text(b"a =?iso-8859-1?b?5A==?= =?iso-8859-1?q?_b?="), "a ä b");
        assert_eq!(decode_text("schön".as_bytes()), "schön");
        assert_eq!(decode_text(b"=?broken"), "=?broken");
        assert_eq!(decode_text(b"\xff=?utf-8?q?x?="), "\u{fffd}x");
        assert_eq!(decode_text(b"=?a =?utf-8?q?x?= =?utf-8?x?y?= =?"), "=?a x =?utf-8?x?y?= =?");
        assert_eq!(decode_text(b"=?utf-8?q??= =?utf-8?q?=3D=3F?="), "=?");
    }
}
