//! Structured MIME field values, `head; name=value; …` (RFC 2045 section 5.1), with continuations and charsets of
//! RFC 2231 joined the way IMAP clients expect. Works on one unfolded value; charsets are decoded on request only.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::charset;
use super::header::decode_text;
use super::raw_text::RawText;
use crate::limits::mime::{FIELD_VALUE_BYTES_MAX, PARAMETERS_MAX};

/// One parameter of Content-Type or Content-Disposition.
///
/// RFC 9051 section 7.5.2: continuations `a*0`, `a*1` become one parameter `a`. When a charset is declared the name
/// is `a*` and the value keeps the extended form `charset'language'%41%42`, for the client to decode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Lower case; ends in `*` when the value is in RFC 2231's extended form.
    pub name: Box<str>,
    /// Quotes and escapes removed.
    pub value: RawText,
}

impl Parameter {
    /// The value as text: the extended form is decoded, and so are encoded words, which mailers put here though
    /// RFC 2047 section 5 forbids it.
    pub fn decoded(&self) -> String {
        match self.charset_and_octets() {
            Some((charset, octets)) => charset::decode(charset, &octets),
            None => decode_text(&self.value),
        }
    }

    /// The value as octets without the extended form's percent signs, for values that are ASCII by nature.
    pub(super) fn plain_octets(&self) -> Cow<'_, [u8]> {
        self.charset_and_octets().map_or(Cow::Borrowed(&*self.value), |(_, octets)| Cow::Owned(octets))
    }

    /// `charset'language'percent-encoded` (RFC 2231 section 4) taken apart; `None` when not in the extended form.
    /// Without the two quotes the charset is unknown.
    fn charset_and_octets(&self) -> Option<(&[u8], Vec<u8>)> {
        if !self.name.ends_with('*') {
            return None;
        }
        let mut pieces = self.value.splitn(3, |&octet| octet == b'\'');
        Some(match (pieces.next(), pieces.next(), pieces.next()) {
            (Some(charset), Some(_), Some(text)) => (charset, percent_decode(text)),
            _ => (b"", percent_decode(&self.value)),
        })
    }
}

/// The parameter `name` (lower case, without `*`), the extended form first.
pub(super) fn find_parameter<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a Parameter> {
    let extended = |parameter: &&Parameter| parameter.name.strip_suffix('*') == Some(name);
    parameters.iter().find(extended).or_else(|| parameters.iter().find(|parameter| &*parameter.name == name))
}

/// Splits an unfolded value into what stands before the first `;` and the parameters behind it.
pub(super) fn parse_structured(value: &[u8]) -> (&[u8], Vec<Parameter>) {
    let head_end = value.iter().position(|&octet| matches!(octet, b';' | b'(')).unwrap_or(value.len());
    let (head, rest) = value.split_at(quirk_missing_semicolon(value, head_end));
    let mut cursor = Cursor { rest };
    let mut pieces = Vec::new();
    while pieces.len() < PARAMETERS_MAX {
        match cursor.next_parameter() {
            Some(piece) => pieces.push(piece),
            None => break,
        }
    }
    (head.trim_ascii(), join_continuations(pieces))
}

/// `multipart/mixed boundary=x`: a parameter that no semicolon divides from the head, which then ends at the first
/// white space. Heads themselves have no equals sign.
fn quirk_missing_semicolon(value: &[u8], head_end: usize) -> usize {
    let head = &value[..head_end];
    if !head.contains(&b'=') {
        return head_end;
    }
    head.iter().position(u8::is_ascii_whitespace).unwrap_or(head_end)
}

/// RFC 2045 section 5.1: any CHAR except SPACE, CTLs and tspecials.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(octet))
}

/// A token in lower case, if it is one.
pub(super) fn lower_token(text: &[u8]) -> Option<Box<str>> {
    is_token(text).then(|| String::from_utf8_lossy(text).to_ascii_lowercase().into_boxed_str())
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&octet| !keep(octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// White space, separators and comments between parameters.
    fn skip_separators(&mut self) {
        loop {
            self.take_while(|octet| octet == b';' || octet.is_ascii_whitespace());
            if self.rest.first() != Some(&b'(') {
                return;
            }
            self.skip_comment();
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        let mut escaped = false;
        while let Some((&octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// `name = value`; parameters without a value or with a name that is no token are passed over.
    fn next_parameter(&mut self) -> Option<Parameter> {
        loop {
            self.skip_separators();
            if self.rest.is_empty() {
                return None;
            }
            let name = self.take_while(|octet| octet != b'=' && octet != b';').trim_ascii();
            if self.rest.first() != Some(&b'=') {
                continue;
            }
            self.rest = &self.rest[1..];
            self.take_while(|octet| octet.is_ascii_whitespace());
            let value = self.value();
            if let Some(name) = lower_token(name) {
                return Some(Parameter { name, value });
            }
        }
    }

    fn value(&mut self) -> RawText {
        if self.rest.first() == Some(&b'"') {
            return cut(self.quoted_string());
        }
        let value = self.take_while(|octet| octet != b';').trim_ascii_end();
        cut(without_comment(value).to_vec())
    }

    fn quoted_string(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        let mut octets = self.rest.iter();
        octets.next();
        while let Some(&octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => content.extend(octets.next()),
                other => content.push(other),
            }
        }
        self.rest = octets.as_slice();
        content
    }
}

/// Drops a comment behind a token: `us-ascii (Plain text)` (RFC 2045 section 5.1). An unquoted value with spaces
/// that is not a token and a comment, such as a file name, stays whole.
fn without_comment(value: &[u8]) -> &[u8] {
    let Some(open) = value.iter().position(|&octet| octet == b'(') else {
        return value;
    };
    let token = value[..open].trim_ascii_end();
    if value.ends_with(b")") && is_token(token) { token } else { value }
}

fn cut(mut value: Vec<u8>) -> RawText {
    value.truncate(FIELD_VALUE_BYTES_MAX);
    RawText::from(value)
}

/// A parameter name taken apart: `title*1*` is `title`, section 1, extended (RFC 2231 section 7).
struct SectionName<'a> {
    base: &'a str,
    section: Option<u32>,
    is_extended: bool,
}

impl<'a> SectionName<'a> {
    /// `None` when the name has no asterisk or is malformed; the parameter is then left as it is.
    fn parse(name: &'a str) -> Option<Self> {
        let (base, tail) = name.split_once('*')?;
        let (section, is_extended) = match tail.strip_suffix('*') {
            Some(number) => (number, true),
            None => (tail, tail.is_empty()),
        };
        let section = if section.is_empty() { None } else { Some(section.parse().ok()?) };
        Some(Self { base, section, is_extended })
    }
}

/// Joins `a*0`, `a*1`, … in the order of their numbers at the place of the first one seen; sections behind a gap
/// are dropped (RFC 2231 section 3 numbers them without gaps).
fn join_continuations(pieces: Vec<Parameter>) -> Vec<Parameter> {
    if pieces.iter().all(|piece| !piece.name.contains('*')) {
        return pieces;
    }
    let mut joined: Vec<Parameter> = Vec::with_capacity(pieces.len());
    let mut done: Vec<&str> = Vec::new();
    for piece in &pieces {
        match SectionName::parse(&piece.name) {
            Some(SectionName { base, section: Some(_), .. }) => {
                if !done.contains(&base) {
                    done.push(base);
                    joined.extend(join_sections(base, &pieces));
                }
            }
            _ => joined.push(piece.clone()),
        }
    }
    joined
}

fn join_sections(base: &str, pieces: &[Parameter]) -> Option<Parameter> {
    let mut sections: Vec<(u32, bool, &RawText)> = pieces
        .iter()
        .filter_map(|piece| {
            let name = SectionName::parse(&piece.name)?;
            (name.base == base).then_some((name.section?, name.is_extended, &piece.value))
        })
        .collect();
    sections.sort_by_key(|&(number, ..)| number);
    sections.dedup_by_key(|&mut (number, ..)| number);
    let in_sequence = sections.iter().zip(0..).take_while(|((number, ..), expected)| number == expected).count();
    sections.truncate(in_sequence);
    // RFC 2231 section 4.1: only the first section declares the charset.
    let &(_, is_extended, _) = sections.first()?;
    let mut value = Vec::new();
    for (_, section_is_extended, text) in sections {
        match (is_extended, section_is_extended) {
            (true, false) => percent_encode(text, &mut value),
            _ => value.extend_from_slice(text),
        }
    }
    let name = if is_extended { format!("{base}*") } else { base.to_owned() };
    Some(Parameter { name: name.into_boxed_str(), value: cut(value) })
}

/// RFC 2231 section 7: attribute-char stands for itself, all else is `%` and two hexadecimal digits.
fn percent_encode(text: &[u8], into: &mut Vec<u8>) {
    const HEX_DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &octet in text {
        if octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet) {
            into.push(octet);
        } else {
            into.extend([b'%', HEX_DIGITS[usize::from(octet >> 4)], HEX_DIGITS[usize::from(octet & 15)]]);
        }
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, tail @ ..] = rest {
        rest = tail;
        if *octet == b'%'
            && let [high, low, behind @ ..] = tail
            && let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16))
        {
            decoded.push((high << 4 | low) as u8);
            rest = behind;
        } else {
            decoded.push(*octet);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> (String, Vec<(String, String)>) {
        let (head, parameters) = parse_structured(value.as_bytes());
        let pairs = parameters
            .iter()
            .map(|parameter| (parameter.name.to_string(), String::from_utf8_lossy(&parameter.value).into_owned()))
            .collect();
        (String::from_utf8_lossy(head).into_owned(), pairs)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn plain_parameters() {
        let (head, parameters) = parse(r#"text/plain; Charset=UTF-8; name="a; \"b\".txt";x=y"#);
        assert_eq!(head, "text/plain");
        assert_eq!(parameters, pairs(&[("charset", "UTF-8"), ("name", "a; \"b\".txt"), ("x", "y")]));
    }

    #[test]
    fn comments_are_dropped_and_names_with_spaces_kept() {
        assert_eq!(parse("text/plain; charset=us-ascii (Plain text)").1, pairs(&[("charset", "us-ascii")]));
        assert_eq!(parse("text/plain (a) ; (b;c) charset=x").1, pairs(&[("charset", "x")]));
        assert_eq!(parse("attachment; filename=my own (1).pdf").1, pairs(&[("filename", "my own (1).pdf")]));
    }

    #[test]
    fn broken_parameters_are_passed_over() {
        assert_eq!(
            parse(r#"a/b;; =x; noname; b "c"=d; e="f" g=h; open="x"#).1,
            pairs(&[("e", "f"), ("g", "h"), ("open", "x")])
        );
    }

    #[test]
    fn a_missing_semicolon_behind_the_head_is_forgiven() {
        assert_eq!(
            parse("multipart/mixed boundary=\"x\"; a=b"),
            ("multipart/mixed".into(), pairs(&[("boundary", "x"), ("a", "b")]))
        );
        assert_eq!(parse("text=plain").0, "text=plain");
    }

    #[test]
    fn continuations_are_joined_in_order() {
        assert_eq!(parse(r#"x/y; a*1="two"; b=c; a*0="one "; a*3=lost"#).1, pairs(&[("a", "one two"), ("b", "c")]));
    }

    #[test]
    fn extended_values_keep_their_form_and_decode() {
        let (_, parameters) =
            parse_structured(b"x/y; title*0*=us-ascii'en'This%20is%20; title*1*=%2A%2A; title*2=\" ok!\"");
        assert_eq!(&*parameters[0].name, "title*");
        assert_eq!(parameters[0].value, "us-ascii'en'This%20is%20%2A%2A%20ok!");
        assert_eq!(parameters[0].decoded(), "This is ** ok!");
        let (_, parameters) = parse_structured(b"x/y; filename=plain; filename*=iso-8859-1''f%FCr.txt");
        assert_eq!(find_parameter(&parameters, "filename").map(Parameter::decoded).as_deref(), Some("für.txt"));
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let value = format!("x/y{}", "; a=b".repeat(PARAMETERS_MAX * 2));
        assert_eq!(parse(&value).1.len(), PARAMETERS_MAX);
    }
}
