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
