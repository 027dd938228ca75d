//! The MIME fields of one header section (RFC 2045, 2183, 2557, 3282, 1864) into the description of a part.
//! In: one bounded header section; out: a part without offsets, and what the scanner has to do with its body.

use super::envelope::kept_value;
use super::header::{Field, fields, unfold};
use super::parameters::{find_parameter, lower_token, parse_structured};
use super::raw_text::RawText;
use super::structure::{Disposition, Part};
use crate::limits::mime::{BOUNDARY_BYTES_MAX, PARAMETERS_MAX};

/// The type of a part without a valid Content-Type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultType {
    /// RFC 2045 section 5.2
    TextPlain,
    /// RFC 2046 section 5.1.5: inside multipart/digest
    MessageRfc822,
}

impl DefaultType {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::TextPlain => ("text", "plain"),
            Self::MessageRfc822 => ("message", "rfc822"),
        }
    }
}

/// Describes a part by its header section. Offsets, lines and children are left empty. For a multipart the
/// boundary comes with it; a multipart without a usable boundary is invalid and therefore text/plain.
pub(super) fn describe(header: &[u8], default_type: DefaultType) -> (Part, Option<Box<[u8]>>) {
    let mut part = Part::default();
    for field in fields(header) {
        if field.name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"Content-")) {
            take(&mut part, &field);
        }
    }
    let boundary = boundary_of(&part);
    if part.is_multipart() && boundary.is_none() {
        make_plain_text(&mut part);
    }
    if part.media_type.is_empty() {
        let (media_type, subtype) = default_type.names();
        part.media_type = media_type.into();
        part.subtype = subtype.into();
    }
    (part, boundary)
}

/// RFC 2045 section 5.2: what has no valid type is shown as plain text, so that a person can at least read it.
pub(super) fn make_plain_text(part: &mut Part) {
    let (media_type, subtype) = DefaultType::TextPlain.names();
    part.media_type = media_type.into();
    part.subtype = subtype.into();
    part.parameters.clear();
}

/// A part that is not looked into although its type says it has parts.
pub(super) fn make_opaque(part: &mut Part) {
    part.media_type = "application".into();
    part.subtype = "octet-stream".into();
    part.parameters.clear();
}

/// Of a repeated field the first counts.
fn take(part: &mut Part, field: &Field<'_>) {
    if field.is("Content-Type") {
        if part.media_type.is_empty() {
            take_type(part, field.value);
        }
    } else if field.is("Content-Transfer-Encoding") {
        if part.encoding.is_none() {
            let value = unfold(field.value);
            // Comments and stray parameters occur: `7bit; charset=x`.
            part.encoding = lower_token(parse_structured(&value).0);
        }
    } else if field.is("Content-Disposition") {
        if part.disposition.is_none() {
            let value = unfold(field.value);
            let (kind, parameters) = parse_structured(&value);
            part.disposition = lower_token(kind).map(|kind| Disposition { kind, parameters });
        }
    } else if field.is("Content-Language") {
        if part.language.is_empty() {
            part.language = language_tags(&unfold(field.value));
        }
    } else {
        let slot = if field.is("Content-ID") {
            &mut part.content_id
        } else if field.is("Content-Description") {
            &mut part.description
        } else if field.is("Content-MD5") {
            &mut part.md5
        } else if field.is("Content-Location") {
            &mut part.location
        } else {
            return;
        };
        slot.get_or_insert_with(|| kept_value(field.value));
    }
}

fn take_type(part: &mut Part, value: &[u8]) {
    let value = unfold(value);
    let (head, parameters) = parse_structured(&value);
    let mut names = head.splitn(2, |&octet| octet == b'/').map(|name| lower_token(name.trim_ascii()));
    if let (Some(Some(media_type)), Some(Some(subtype))) = (names.next(), names.next()) {
        part.media_type = media_type;
        part.subtype = subtype;
        part.parameters = parameters;
    }
}

fn boundary_of(part: &Part) -> Option<Box<[u8]>> {
    if !part.is_multipart() {
        return None;
    }
    // RFC 2046 section 5.1.1: white space at the end of a boundary is not part of it.
    let parameter = find_parameter(&part.parameters, "boundary")?;
    let boundary = parameter.plain_octets();
    let boundary = boundary.trim_ascii_end();
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX).then(|| boundary.into())
}

/// `Content-Language: da, mi-nz (comment)` (RFC 3282)
fn language_tags(value: &[u8]) -> Vec<RawText> {
    value
        .split(|&octet| octet == b',')
        .map(|tag| tag.trim_ascii().split(|&octet| octet == b' ' || octet == b'(').next().unwrap_or_default())
        .filter(|tag| !tag.is_empty())
        .take(PARAMETERS_MAX)
        .map(kept_value)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe_text(header: &str) -> Part {
        describe(header.as_bytes(), DefaultType::TextPlain).0
    }

    #[test]
    fn every_field_is_taken() {
        let part = describe_text(
            "Content-Type: IMAGE/Png; name=a.png\r\nContent-Transfer-Encoding: BASE64 (c)\r\nContent-ID: <1@x>\r\n\
             Content-Description: a\r\n picture\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\
             Content-Disposition: Attachment; filename=b.png\r\nContent-Language: en, de-CH (Swiss)\r\n\
             Content-Location: http://x/\r\nContent-Type: text/html\r\n",
        );
        assert_eq!((&*part.media_type, &*part.subtype), ("image", "png"));
        assert_eq!(part.encoding.as_deref(), Some("base64"));
        assert_eq!(part.content_id.as_ref().unwrap(), &"<1@x>");
        assert_eq!(part.description.as_ref().unwrap(), &"a picture");
        assert_eq!(part.md5.as_ref().unwrap(), &"Q2hlY2sgSW50ZWdyaXR5IQ==");
        assert_eq!(part.file_name().as_deref(), Some("b.png"));
        assert_eq!(part.language, ["en".into(), "de-CH".into()] as [RawText; 2]);
        assert_eq!(part.location.as_ref().unwrap(), &"http://x/");
        assert!(part.is_attachment());
    }

    #[test]
    fn invalid_types_are_plain_text() {
        for value in ["", "text", "/", "te xt/plain", "multipart/mixed", "multipart/mixed; boundary=\"\"", "a/b/c"] {
            let part = describe_text(&format!("Content-Type: {value}\r\n"));
            assert_eq!((&*part.media_type, &*part.subtype), ("text", "plain"), "{value:?}");
        }
    }

    #[test]
    fn a_boundary_may_be_in_extended_form() {
        let header = b"Content-Type: multipart/signed; boundary*=us-ascii''a%20b\r\n";
        assert_eq!(describe(header, DefaultType::TextPlain).1.as_deref(), Some(&b"a b"[..]));
    }

    #[test]
    fn the_default_type_depends_on_the_parent() {
        assert!(describe(b"", DefaultType::MessageRfc822).0.is_message());
    }
}
