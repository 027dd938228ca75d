//! IMAP section addressing (RFC 9051 section 6.4.5.1, RFC 3501 section 6.4.5): from part numbers to a range of
//! octets of the message. In: the tree; out: offsets. Reads no content.

use std::ops::Range;

use super::structure::{Part, Structure};

/// What is asked of the addressed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// `BODY[]`, `BODY[1.2]`: the whole message, or the body of the part.
    Whole,
    /// `HEADER`: the header of the message, or of the message embedded in the part.
    Header,
    /// `TEXT`: the body of the message, or of the message embedded in the part.
    Text,
    /// `MIME`: the part's own header; needs a part number.
    Mime,
}

/// The octets of a section; `None` when the message has no such section.
pub fn section_range(structure: &Structure, path: &[u32], kind: SectionKind) -> Option<Range<u64>> {
    if path.is_empty() {
        let root = structure.root()?;
        return match kind {
            SectionKind::Whole => Some(root.header.start..root.body.end),
            SectionKind::Header => Some(root.header.clone()),
            SectionKind::Text => Some(root.body.clone()),
            SectionKind::Mime => None,
        };
    }
    let part = find_part(structure, path)?;
    match kind {
        SectionKind::Whole => Some(part.body.clone()),
        SectionKind::Mime => Some(part.header.clone()),
        SectionKind::Header => Some(embedded(structure, part)?.header.clone()),
        SectionKind::Text => Some(embedded(structure, part)?.body.clone()),
    }
}

/// The part with this number, such as `[4, 2]` for `4.2`; an empty path is the message itself.
///
/// Every message has at least one part number: of a message that is not multipart, and of an embedded one,
/// part 1 is its body.
pub fn find_part<'a>(structure: &'a Structure, path: &[u32]) -> Option<&'a Part> {
    let mut part = structure.root()?;
    let mut is_whole_message = true;
    for &number in path {
        if !is_whole_message && part.is_message() {
            part = embedded(structure, part)?;
            is_whole_message = true;
        }
        if part.is_multipart() {
            let position = usize::try_from(number.checked_sub(1)?).ok()?;
            part = structure.part(*part.children.get(position)?)?;
        } else if !is_whole_message || number != 1 {
            return None;
        }
        is_whole_message = false;
    }
    Some(part)
}

/// The message inside a `message/rfc822` part: only such parts have HEADER and TEXT.
fn embedded<'a>(structure: &'a Structure, part: &Part) -> Option<&'a Part> {
    if !part.is_message() {
        return None;
    }
    structure.part(*part.children.first()?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NESTED, PLAIN, structure_of};
    use super::SectionKind::{Header, Mime, Text, Whole};
    use super::*;

    fn section<'a>(message: &'a str, path: &[u32], kind: SectionKind) -> Option<&'a str> {
        let range = section_range(&structure_of(message), path, kind)?;
        Some(&message[range.start as usize..range.end as usize])
    }

    #[test]
    fn the_message_itself_has_no_number() {
        assert_eq!(section(PLAIN, &[], Whole), Some(PLAIN));
        let (header, text) = (section(NESTED, &[], Header).unwrap(), section(NESTED, &[], Text).unwrap());
        assert!(header.ends_with("\r\n\r\n"));
        assert_eq!(format!("{header}{text}"), NESTED);
        assert_eq!(section(PLAIN, &[], Mime), None);
    }

    #[test]
    fn a_message_that_is_not_multipart_has_part_1() {
        assert_eq!(section(PLAIN, &[1], Whole), Some("one\r\ntwo\r\n"));
        assert_eq!(section(PLAIN, &[1], Mime), section(PLAIN, &[], Header));
        for (path, kind) in [(&[2][..], Whole), (&[0], Whole), (&[1, 1], Whole), (&[1], Header), (&[1], Text)] {
            assert_eq!(section(PLAIN, path, kind), None, "{path:?} {kind:?}");
        }
    }

    #[test]
    fn parts_and_parts_of_embedded_messages() {
        assert_eq!(section(NESTED, &[1], Whole), Some("first\r\ntext"));
        assert_eq!(section(NESTED, &[1], Mime), Some("\r\n"));
        assert_eq!(section(NESTED, &[2, 1], Whole), Some("plain"));
        assert_eq!(section(NESTED, &[2, 2], Mime), Some("Content-Type: text/html\r\n\r\n"));
        assert_eq!(section(NESTED, &[3], Whole), Some("AAAA"));
        assert_eq!(section(NESTED, &[4], Whole), None);
        assert_eq!(section(NESTED, &[2, 3], Whole), None);
        assert_eq!(section(NESTED, &[2, 1, 1], Whole), None);
    }

    #[test]
    fn header_and_text_are_of_embedded_messages_only() {
        let header = section(NESTED, &[2], Header).unwrap();
        assert!(header.starts_with("From: carl") && header.ends_with("\r\n\r\n"));
        let text = section(NESTED, &[2], Text).unwrap();
        assert_eq!(Some(format!("{header}{text}").as_str()), section(NESTED, &[2], Whole));
        assert!(section(NESTED, &[2], Mime).unwrap().starts_with("Content-Type: message/rfc822"));
        assert_eq!(section(NESTED, &[1], Header), None);
        assert_eq!(section(NESTED, &[3], Text), None);
    }

    #[test]
    fn a_multipart_inside_a_multipart_counts_its_own_parts() {
        let message = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n\
                       --b\n\none\n--b\n\ntwo\n--b--\n--a--\n";
        assert_eq!(section(message, &[1, 2], Whole), Some("two"));
        assert_eq!(section(message, &[1], Text), None);
    }

    #[test]
    fn an_embedded_message_that_is_not_multipart_has_part_1() {
        let message = "Content-Type: message/rfc822\n\nSubject: a\n\nbody";
        assert_eq!(section(message, &[1], Whole), Some("Subject: a\n\nbody"));
        assert_eq!(section(message, &[1], Header), Some("Subject: a\n\n"));
        assert_eq!(section(message, &[1, 1], Whole), Some("body"));
        assert_eq!(section(message, &[1, 1], Mime), Some("Subject: a\n\n"));
        assert_eq!(section(message, &[1, 1, 1], Whole), None);
    }
}
