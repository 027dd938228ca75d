//! IMAP's textual forms of envelope and body structure (RFC 9051 section 7.5.2 and its formal syntax), appended to
//! a buffer. In: digest data; no message is read. Every form is complete and valid whatever the message was like.

use super::address::Address;
use super::envelope::Envelope;
use super::parameters::Parameter;
use super::raw_text::RawText;
use super::structure::{Disposition, Part, Structure};
use crate::limits::mime::IMAP_QUOTED_BYTES_MAX;

/// `body-type-text` for a multipart without parts or a message without content, for which the grammar has no form.
const EMPTY_BODY: &[u8] = b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0";

/// ENVELOPE: `"(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP env-bcc
/// SP env-in-reply-to SP env-message-id ")"`. With `utf8` (UTF8=ACCEPT or IMAP4rev2) strings may be quoted UTF-8;
/// without, octets above 127 make a literal.
pub fn envelope_text(envelope: &Envelope, utf8: bool, into: &mut Vec<u8>) {
    // "If the Sender or Reply-To header fields are absent ... the same value as the from member"
    let or_from = |list| if <[Address]>::is_empty(list) { envelope.from.as_slice() } else { list };
    into.push(b'(');
    nstring(envelope.date.as_deref(), utf8, into);
    into.push(b' ');
    nstring(envelope.subject.as_deref(), utf8, into);
    for list in [
        envelope.from.as_slice(),
        or_from(&envelope.sender),
        or_from(&envelope.reply_to),
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ] {
        into.push(b' ');
        address_list(list, utf8, into);
    }
    into.push(b' ');
    nstring(envelope.in_reply_to.as_deref(), utf8, into);
    into.push(b' ');
    nstring(envelope.message_id.as_deref(), utf8, into);
    into.push(b')');
}

/// BODY: the structure without extension data.
pub fn body_text(structure: &Structure, utf8: bool, into: &mut Vec<u8>) {
    Writer { structure, utf8, with_extensions: false, into }.root();
}

/// BODYSTRUCTURE: the structure with extension data.
pub fn bodystructure_text(structure: &Structure, utf8: bool, into: &mut Vec<u8>) {
    Writer { structure, utf8, with_extensions: true, into }.root();
}

/// `nstring = string / nil`
pub fn nstring(text: Option<&[u8]>, utf8: bool, into: &mut Vec<u8>) {
    match text {
        Some(text) => string(text, utf8, into),
        None => into.extend_from_slice(b"NIL"),
    }
}

/// `string = quoted / literal`: quoted when it may be and is short, else a literal. NUL, which neither form can
/// carry, is left out.
pub fn string(text: &[u8], utf8: bool, into: &mut Vec<u8>) {
    let is_one_line = !text.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n'));
    let may_be_quoted = text.is_ascii() || (utf8 && std::str::from_utf8(text).is_ok());
    if is_one_line && may_be_quoted && text.len() <= IMAP_QUOTED_BYTES_MAX {
        into.push(b'"');
        for &octet in text {
            if matches!(octet, b'"' | b'\\') {
                into.push(b'\\');
            }
            into.push(octet);
        }
        into.push(b'"');
        return;
    }
    let length = text.iter().filter(|&&octet| octet != 0).count();
    into.extend_from_slice(format!("{{{length}}}\r\n").as_bytes());
    into.extend(text.iter().copied().filter(|&octet| octet != 0));
}

/// `"(" 1*address ")" / nil`
fn address_list(list: &[Address], utf8: bool, into: &mut Vec<u8>) {
    if list.is_empty() {
        into.extend_from_slice(b"NIL");
        return;
    }
    into.push(b'(');
    for address in list {
        let mut before = b'(';
        for piece in [&address.name, &address.route, &address.mailbox, &address.host] {
            into.push(before);
            nstring(piece.as_deref(), utf8, into);
            before = b' ';
        }
        into.push(b')');
    }
    into.push(b')');
}

struct Writer<'a> {
    structure: &'a Structure,
    utf8: bool,
    with_extensions: bool,
    into: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn root(&mut self) {
        match self.structure.root() {
            Some(root) => self.part(root),
            None => self.empty_body(),
        }
    }

    /// `body = "(" (body-type-1part / body-type-mpart) ")"`. The scanner bounds the depth of this recursion.
    fn part(&mut self, part: &Part) {
        if part.is_multipart() {
            self.multipart(part);
        } else {
            self.single_part(part);
        }
    }

    /// `body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]`
    fn multipart(&mut self, part: &Part) {
        self.into.push(b'(');
        let mut is_empty = true;
        for child in self.structure.children(part) {
            self.part(child);
            is_empty = false;
        }
        if is_empty {
            self.empty_body();
        }
        self.into.push(b' ');
        self.text(part.subtype.as_bytes());
        if self.with_extensions {
            self.into.push(b' ');
            self.parameters(&part.parameters, false);
            self.common_extensions(part);
        }
        self.into.push(b')');
    }

    /// `body-type-basic`, `-msg` or `-text`, each with `[SP body-ext-1part]`
    fn single_part(&mut self, part: &Part) {
        self.into.push(b'(');
        self.text(part.media_type.as_bytes());
        self.into.push(b' ');
        self.text(part.subtype.as_bytes());
        self.into.push(b' ');
        // RFC 2045 section 5.2: text without a charset is US-ASCII.
        self.parameters(&part.parameters, part.is_text());
        self.spaced_nstring(&part.content_id);
        self.spaced_nstring(&part.description);
        self.into.push(b' ');
        self.text(part.encoding.as_deref().unwrap_or("7bit").as_bytes());
        self.spaced_number(part.body.end - part.body.start);
        if part.is_message() {
            self.embedded_message(part);
        }
        if part.is_message() || part.is_text() {
            self.spaced_number(part.lines.into());
        }
        if self.with_extensions {
            self.spaced_nstring(&part.md5);
            self.common_extensions(part);
        }
        self.into.push(b')');
    }

    /// `SP envelope SP body`
    fn embedded_message(&mut self, part: &Part) {
        self.into.push(b' ');
        match &part.envelope {
            Some(envelope) => envelope_text(envelope, self.utf8, self.into),
            None => envelope_text(&Envelope::default(), self.utf8, self.into),
        }
        self.into.push(b' ');
        match self.structure.children(part).next() {
            Some(child) => self.part(child),
            None => self.empty_body(),
        }
    }

    fn empty_body(&mut self) {
        self.into.extend_from_slice(EMPTY_BODY);
        self.into.extend_from_slice(if self.with_extensions { b" NIL NIL NIL NIL)" } else { b")" });
    }

    /// `SP body-fld-dsp SP body-fld-lang SP body-fld-loc`
    fn common_extensions(&mut self, part: &Part) {
        self.into.push(b' ');
        self.disposition(part.disposition.as_ref());
        self.into.push(b' ');
        match part.language.as_slice() {
            [] => self.into.extend_from_slice(b"NIL"),
            [only] => self.text(only),
            tags => {
                let mut before = b'(';
                for tag in tags {
                    self.into.push(before);
                    self.text(tag);
                    before = b' ';
                }
                self.into.push(b')');
            }
        }
        self.spaced_nstring(&part.location);
    }

    /// `body-fld-dsp = "(" string SP body-fld-param ")" / nil`
    fn disposition(&mut self, disposition: Option<&Disposition>) {
        let Some(disposition) = disposition else {
            self.into.extend_from_slice(b"NIL");
            return;
        };
        self.into.push(b'(');
        self.text(disposition.kind.as_bytes());
        self.into.push(b' ');
        self.parameters(&disposition.parameters, false);
        self.into.push(b')');
    }

    /// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
    fn parameters(&mut self, parameters: &[Parameter], with_default_charset: bool) {
        let mut before = b'(';
        for parameter in parameters {
            self.into.push(before);
            self.text(parameter.name.as_bytes());
            self.into.push(b' ');
            self.text(&parameter.value);
            before = b' ';
        }
        let has_charset = || parameters.iter().any(|parameter| parameter.name.trim_end_matches('*') == "charset");
        if with_default_charset && !has_charset() {
            self.into.push(before);
            self.into.extend_from_slice(b"\"charset\" \"us-ascii\"");
            before = b' ';
        }
        self.into.extend_from_slice(if before == b'(' { b"NIL" } else { b")" });
    }

    fn text(&mut self, text: &[u8]) {
        string(text, self.utf8, self.into);
    }

    fn spaced_nstring(&mut self, text: &Option<RawText>) {
        self.into.push(b' ');
        nstring(text.as_deref(), self.utf8, self.into);
    }

    fn spaced_number(&mut self, number: u64) {
        self.into.extend_from_slice(format!(" {number}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NESTED, PLAIN, digest_of, structure_of};
    use super::*;

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn envelope(header: &str, utf8: bool) -> String {
        text_of(|into| envelope_text(&Envelope::parse(header.as_bytes()), utf8, into))
    }

    #[test]
    fn an_envelope_is_written_with_its_defaults() {
        assert_eq!(
            envelope(
                "Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\nFrom: Fred Foobar <foobar@Blurdybloop.example>\r\n\
                 Subject: afternoon meeting\r\nTo: mooch@owatagu.siam.edu.example\r\n\
                 Message-Id: <B27397-0100000@Blurdybloop.example>\r\n",
                false
            ),
            "(\"Mon, 7 Feb 1994 21:52:25 -0800 (PST)\" \"afternoon meeting\" \
             ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\")) \
             ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\")) \
             ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\")) \
             ((NIL NIL \"mooch\" \"owatagu.siam.edu.example\")) NIL NIL NIL \
             \"<B27397-0100000@Blurdybloop.example>\")"
        );
        assert_eq!(envelope("", false), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(envelope("Subject: \r\n", false), "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
    }

    #[test]
    fn groups_are_written_with_markers() {
        assert_eq!(
            envelope("To: A: b@c;\r\n", false),
            "(NIL NIL NIL NIL NIL ((NIL NIL \"A\" NIL)(NIL NIL \"b\" \"c\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn strings_are_quoted_or_literal() {
        let string_of = |text: &[u8], utf8| text_of(|into| string(text, utf8, into));
        assert_eq!(string_of(br#"a "b" \c"#, false), r#""a \"b\" \\c""#);
        assert_eq!(string_of("é".as_bytes(), false), "{2}\r\né");
        assert_eq!(string_of("é".as_bytes(), true), "\"é\"");
        assert_eq!(string_of(b"\xff", true), "{1}\r\n\u{fffd}");
        assert_eq!(string_of(b"a\r\nb", true), "{4}\r\na\r\nb");
        assert_eq!(string_of(b"a\0b", false), "{2}\r\nab");
        let long = "x".repeat(IMAP_QUOTED_BYTES_MAX + 1);
        assert_eq!(string_of(long.as_bytes(), false), format!("{{{}}}\r\n{long}", long.len()));
    }

    #[test]
    fn a_plain_message_has_a_single_part_body() {
        let structure = structure_of(PLAIN);
        let expected = "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2";
        assert_eq!(text_of(|into| body_text(&structure, false, into)), format!("{expected})"));
        assert_eq!(text_of(|into| bodystructure_text(&structure, false, into)), format!("{expected} NIL NIL NIL NIL)"));
    }

    #[test]
    fn a_nested_message_is_written_whole() {
        let structure = structure_of(NESTED);
        let inner_envelope = "(NIL \"inner\" ((NIL NIL \"carl\" \"example.net\")) ((NIL NIL \"carl\" \"example.net\")) \
             ((NIL NIL \"carl\" \"example.net\")) NIL NIL NIL NIL NIL)";
        let embedded_bytes = structure.parts[2].body.end - structure.parts[2].body.start;
        assert_eq!(
            text_of(|into| body_text(&structure, false, into)),
            format!(
                "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 11 1)\
                 (\"message\" \"rfc822\" NIL NIL \"forwarded\" \"7bit\" {embedded_bytes} {inner_envelope} \
                 ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 5 0)\
                 (\"text\" \"html\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 11 0) \"alternative\") 13)\
                 (\"image\" \"png\" (\"name\" \"dot.png\") NIL NIL \"base64\" 4) \"mixed\")"
            )
        );
        let with_extensions = text_of(|into| bodystructure_text(&structure, false, into));
        assert!(with_extensions.ends_with(
            "(\"image\" \"png\" (\"name\" \"dot.png\") NIL NIL \"base64\" 4 NIL \
             (\"attachment\" (\"filename\" \"dot.png\")) NIL NIL) \"mixed\" (\"boundary\" \"outer\") NIL NIL NIL)"
        ));
    }

    #[test]
    fn languages_are_one_string_or_a_list() {
        let languages = |value: &str| {
            let structure = structure_of(format!("Content-Language: {value}\n\n"));
            text_of(|into| bodystructure_text(&structure, false, into))
        };
        assert!(languages("en").ends_with(" 0 0 NIL NIL \"en\" NIL)"));
        assert!(languages("en, de").ends_with(" 0 0 NIL NIL (\"en\" \"de\") NIL)"));
    }

    #[test]
    fn a_structure_without_parts_is_an_empty_text() {
        let nothing = Structure::default();
        assert_eq!(
            text_of(|into| body_text(&nothing, false, into)),
            format!("{})", String::from_utf8_lossy(EMPTY_BODY))
        );
    }

    #[test]
    fn eight_bit_names_are_literals_unless_utf8_is_allowed() {
        let digest = digest_of("From: Jörg <j@x>\r\n\r\n");
        assert!(
            text_of(|into| envelope_text(&digest.envelope, false, into)).contains("(({5}\r\nJörg NIL \"j\" \"x\"))")
        );
        assert!(text_of(|into| envelope_text(&digest.envelope, true, into)).contains("((\"Jörg\" NIL \"j\" \"x\"))"));
    }
}
