//! FETCH items and modifiers.

use super::cursor::{Cursor, Parsed, syntax};
use super::sequence::{SequenceSet, sequence_set};
use crate::imap::fetch::{FetchItem, Section, SectionText};
use crate::imap::store::ModSeq;
use crate::limits::imap::{FETCH_ITEMS_MAX, HEADER_NAMES_MAX, SECTION_DEPTH_MAX};

/// Arguments of FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchArguments {
    /// Which messages.
    pub set: SequenceSet,
    /// In the order of asking, without duplicates.
    pub items: Vec<FetchItem>,
    /// RFC 7162 section 3.1.4.1.
    pub changed_since: Option<ModSeq>,
    /// RFC 7162 section 3.2.6.
    pub vanished: bool,
}

/// ```text
/// fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]
/// fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"
/// ```
pub fn fetch(cursor: &mut Cursor<'_>) -> Parsed<FetchArguments> {
    let set = sequence_set(cursor)?;
    cursor.space()?;
    let items = items(cursor)?;
    let mut arguments = FetchArguments { set, items, changed_since: None, vanished: false };
    if cursor.skip(b' ') {
        modifiers(cursor, &mut arguments)?;
    }
    if arguments.vanished && arguments.changed_since.is_none() {
        return syntax("VANISHED needs CHANGEDSINCE");
    }
    Ok(arguments)
}

fn modifiers(cursor: &mut Cursor<'_>, arguments: &mut FetchArguments) -> Parsed<()> {
    cursor.expect(b'(', "Expected fetch modifiers")?;
    loop {
        match cursor.atom()?.to_ascii_uppercase().as_str() {
            "CHANGEDSINCE" => {
                cursor.space()?;
                arguments.changed_since = Some(cursor.number64()?);
            }
            "VANISHED" => arguments.vanished = true,
            _ => return syntax("Unknown fetch modifier"),
        }
        if cursor.skip(b')') {
            return Ok(());
        }
        cursor.space()?;
    }
}

fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Size};
    if cursor.skip(b'(') {
        let mut items = Vec::new();
        loop {
            let item = item(cursor)?;
            if !items.contains(&item) {
                items.push(item);
            }
            if cursor.skip(b')') {
                return Ok(items);
            }
            if items.len() >= FETCH_ITEMS_MAX {
                return syntax("Too many fetch items");
            }
            cursor.space()?;
        }
    }
    let rest = cursor.rest();
    let word = rest.split(|byte| *byte == b' ').next().unwrap_or_default().to_ascii_uppercase();
    let (word, items) = match word.as_slice() {
        b"ALL" => ("ALL", vec![Flags, InternalDate, Size, Envelope]),
        b"FAST" => ("FAST", vec![Flags, InternalDate, Size]),
        b"FULL" => ("FULL", vec![Flags, InternalDate, Size, Envelope, Body]),
        _ => return item(cursor).map(|item| vec![item]),
    };
    cursor.skip_word(word);
    Ok(items)
}

/// ```text
/// fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822.SIZE" / "BODYSTRUCTURE" / "UID" / "BODY"
///           / "BODY" [".PEEK"] section ["<" number64 "." nz-number64 ">"]
///           / "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary
///           / "RFC822" [".HEADER" / ".TEXT"]              ; RFC 3501
///           / "MODSEQ" / "EMAILID" / "THREADID" / "SAVEDATE"
///           / "PREVIEW" [SP "(" "LAZY" ")"]               ; RFC 8970
/// ```
fn item(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let item = match name.to_ascii_uppercase().as_slice() {
        b"UID" => FetchItem::Uid,
        b"FLAGS" => FetchItem::Flags,
        b"MODSEQ" => FetchItem::ModSeq,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822.SIZE" => FetchItem::Size,
        b"SAVEDATE" => FetchItem::SaveDate,
        b"EMAILID" => FetchItem::EmailId,
        b"THREADID" => FetchItem::ThreadId,
        b"ENVELOPE" => FetchItem::Envelope,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"RFC822" => alias("RFC822", SectionText::Whole, false),
        b"RFC822.HEADER" => alias("RFC822.HEADER", SectionText::Header, true),
        b"RFC822.TEXT" => alias("RFC822.TEXT", SectionText::Text, false),
        b"PREVIEW" => {
            // RFC 8970 section 3.2: a server may always answer a lazy request in full.
            cursor.skip_word(" (LAZY)");
            FetchItem::Preview
        }
        b"BODY" if cursor.peek() == Some(b'[') => body_section(cursor, false)?,
        b"BODY" => FetchItem::Body,
        b"BODY.PEEK" => body_section(cursor, true)?,
        b"BINARY" => binary(cursor, false)?,
        b"BINARY.PEEK" => binary(cursor, true)?,
        b"BINARY.SIZE" => FetchItem::BinarySize { path: binary_section(cursor)? },
        _ => return syntax("Unknown fetch item"),
    };
    Ok(item)
}

fn alias(name: &'static str, text: SectionText, peek: bool) -> FetchItem {
    let section = Section { path: Vec::new(), text };
    FetchItem::Section { section, partial: None, peek, alias: Some(name) }
}

fn body_section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    let section = section(cursor)?;
    let partial = partial(cursor)?;
    Ok(FetchItem::Section { section, partial, peek, alias: None })
}

fn binary(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    let path = binary_section(cursor)?;
    let partial = partial(cursor)?;
    Ok(FetchItem::Binary { path, partial, peek })
}

/// ```text
/// section-binary = "[" [section-part] "]"
/// ```
fn binary_section(cursor: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    cursor.expect(b'[', "Expected a section")?;
    let (path, dot) = section_part(cursor)?;
    if dot {
        return syntax("Invalid section");
    }
    cursor.expect(b']', "Invalid section")?;
    Ok(path)
}

/// ```text
/// section      = "[" [section-spec] "]"
/// section-spec = section-msgtext / (section-part ["." section-text])
/// section-text = section-msgtext / "MIME"
/// section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
/// ```
fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    cursor.expect(b'[', "Expected a section")?;
    let (path, dot) = section_part(cursor)?;
    let name = cursor.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    let text = match name.to_ascii_uppercase().as_slice() {
        b"" if !dot => SectionText::Whole,
        b"HEADER" => SectionText::Header,
        b"TEXT" => SectionText::Text,
        b"MIME" if !path.is_empty() => SectionText::Mime,
        b"HEADER.FIELDS" => SectionText::Fields { names: header_list(cursor)?, not: false },
        b"HEADER.FIELDS.NOT" => SectionText::Fields { names: header_list(cursor)?, not: true },
        _ => return syntax("Unknown section"),
    };
    if !path.is_empty() && !dot && text != SectionText::Whole {
        return syntax("Invalid section");
    }
    cursor.expect(b']', "Invalid section")?;
    Ok(Section { path, text })
}

/// ```text
/// section-part = nz-number *("." nz-number)
/// ```
/// The second value says whether a `.` follows that introduces a section-text.
fn section_part(cursor: &mut Cursor<'_>) -> Parsed<(Vec<u32>, bool)> {
    let mut path = Vec::new();
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        path.push(cursor.nonzero()?);
        if !cursor.skip(b'.') {
            return Ok((path, false));
        }
        if path.len() >= SECTION_DEPTH_MAX {
            return syntax("Section too deep");
        }
    }
    let dot = !path.is_empty();
    Ok((path, dot))
}

/// ```text
/// header-list = "(" header-fld-name *(SP header-fld-name) ")"
/// header-fld-name = astring
/// ```
fn header_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    cursor.expect(b'(', "Expected header names")?;
    let mut names = Vec::new();
    loop {
        if names.len() >= HEADER_NAMES_MAX {
            return syntax("Too many header names");
        }
        names.push(cursor.astring_text()?);
        if cursor.skip(b')') {
            return Ok(names);
        }
        cursor.space()?;
    }
}

/// ```text
/// partial = "<" number64 "." nz-number64 ">"
/// ```
fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<(u64, u64)>> {
    if !cursor.skip(b'<') {
        return Ok(None);
    }
    let offset = cursor.number64()?;
    cursor.expect(b'.', "Invalid partial range")?;
    let count = cursor.number64()?;
    cursor.expect(b'>', "Invalid partial range")?;
    if count == 0 {
        return syntax("Invalid partial range");
    }
    Ok(Some((offset, count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<Vec<FetchItem>> {
        let mut cursor = Cursor::new(text.as_bytes());
        let items = items(&mut cursor)?;
        cursor.end()?;
        Ok(items)
    }

    #[test]
    fn sections() {
        let parsed =
            parse("(BODY.PEEK[1.2.HEADER.FIELDS (a \"b\")]<5.10> BODY[] BODY[3] BODY[3.MIME] BINARY.SIZE[2] BODY)");
        let fields = SectionText::Fields { names: vec!["a".into(), "b".into()], not: false };
        let section = |path: &[u32], text, partial, peek| FetchItem::Section {
            section: Section { path: path.to_vec(), text },
            partial,
            peek,
            alias: None,
        };
        let expected = vec![
            section(&[1, 2], fields, Some((5, 10)), true),
            section(&[], SectionText::Whole, None, false),
            section(&[3], SectionText::Whole, None, false),
            section(&[3], SectionText::Mime, None, false),
            FetchItem::BinarySize { path: vec![2] },
            FetchItem::Body,
        ];
        assert_eq!(parsed, Ok(expected));
    }

    #[test]
    fn bad_items() {
        for bad in [
            "",
            "()",
            "BODY[MIME]",
            "BODY[1.]",
            "BODY[1.HEADERS]",
            "BODY[]<1.0>",
            "BODY[0]",
            "BINARY[TEXT]",
            "FOO",
            "BODY[1HEADER]",
            "ALL FLAGS",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn macros_and_modifiers() {
        assert_eq!(parse("fast").map(|items| items.len()), Ok(3));
        let arguments = fetch(&mut Cursor::new(b"1:* (FLAGS) (CHANGEDSINCE 5 VANISHED)")).unwrap();
        assert_eq!((arguments.changed_since, arguments.vanished), (Some(5), true));
        assert!(fetch(&mut Cursor::new(b"1:* (FLAGS) (VANISHED)")).is_err());
    }
}
