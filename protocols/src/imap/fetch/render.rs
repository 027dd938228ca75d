//! The FETCH response of one message, from facts and ranges. Pure but for the reader and the sink it is given.

use std::io;
use std::ops::Range;

use super::{FetchItem, FetchItems, FetchTarget, MessageFacts, Section, SectionText, Sink};
use crate::imap::date::write_date_time;
use crate::imap::encode::{self, StateItems};
use crate::limits::mime::HEADER_SECTION_BYTES_MAX;
use crate::mime::{
    self, Decoder, FilterMode, RangeReader, ReadAt, SectionKind, Structure, TransferEncoding, filter_fields, find_part,
    read_range, section_range,
};

/// Why a message could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The part's transfer encoding is unknown; nothing was written (RFC 3516 section 4.3).
    #[error("unknown content transfer encoding")]
    UnknownEncoding,
    /// A fact that [`super::FetchNeeds`] names was not given; nothing sensible can follow on this connection.
    #[error("a needed fact is missing")]
    MissingFact,
    /// Of the reader or the sink; a part of the response may have been written: close the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes `* n FETCH (...)` of one message. On [`RenderError::UnknownEncoding`] nothing was written.
pub fn render(
    items: &FetchItems,
    target: &FetchTarget,
    facts: &MessageFacts<'_>,
    body: &mut dyn ReadAt,
    sink: &mut dyn Sink,
) -> Result<(), RenderError> {
    check_encodings(items, facts)?;
    let mut renderer = Renderer { items, target, facts, text: Vec::with_capacity(256), body, sink };
    renderer.message()?;
    Ok(renderer.sink.write(&renderer.text)?)
}

fn check_encodings(items: &FetchItems, facts: &MessageFacts<'_>) -> Result<(), RenderError> {
    for item in &items.items {
        let (FetchItem::Binary { path, .. } | FetchItem::BinarySize { path }) = item else { continue };
        let part = facts.structure.and_then(|structure| find_part(structure, path));
        let unknown = part.is_some_and(|part| part.transfer_encoding() == TransferEncoding::Unknown);
        if unknown && !path.is_empty() {
            return Err(RenderError::UnknownEncoding);
        }
    }
    Ok(())
}

struct Renderer<'a> {
    items: &'a FetchItems,
    target: &'a FetchTarget,
    facts: &'a MessageFacts<'a>,
    /// Protocol text not yet given to the sink.
    text: Vec<u8>,
    body: &'a mut dyn ReadAt,
    sink: &'a mut dyn Sink,
}

impl<'a> Renderer<'a> {
    fn message(&mut self) -> Result<(), RenderError> {
        self.text.extend_from_slice(b"* ");
        encode::number(&mut self.text, self.target.sequence.into());
        self.text.extend_from_slice(b" FETCH (");
        let items = self.items;
        // Ahead of the content, as Dovecot has it.
        let mut flags_due = self.target.flags_changed;
        for (index, item) in items.items.iter().enumerate() {
            if index > 0 {
                self.text.push(b' ');
            }
            let is_content = matches!(item, FetchItem::Section { .. } | FetchItem::Binary { .. });
            if is_content && std::mem::take(&mut flags_due) {
                self.changed_flags();
            }
            self.item(item)?;
        }
        self.text.extend_from_slice(b")\r\n");
        Ok(())
    }

    /// What goes with a `\Seen` that this FETCH has set.
    fn changed_flags(&mut self) {
        let asked = |wanted| self.items.items.contains(&wanted);
        let flags = !asked(FetchItem::Flags);
        let modseq = self.items.condstore && !asked(FetchItem::ModSeq);
        if flags || modseq {
            let state = StateItems { uid: false, flags, modseq };
            encode::state_items(&mut self.text, &self.target.state, state, &self.items.keywords);
            self.text.push(b' ');
        }
    }

    fn item(&mut self, item: &FetchItem) -> Result<(), RenderError> {
        let facts = self.facts;
        match item {
            FetchItem::Uid => self.state(StateItems { uid: true, ..StateItems::default() }),
            FetchItem::Flags => self.state(StateItems { flags: true, ..StateItems::default() }),
            FetchItem::ModSeq => self.state(StateItems { modseq: true, ..StateItems::default() }),
            FetchItem::InternalDate => {
                self.label("INTERNALDATE ");
                write_date_time(&mut self.text, facts.internaldate);
            }
            FetchItem::Size => {
                self.label("RFC822.SIZE ");
                encode::number(&mut self.text, facts.size_bytes);
            }
            FetchItem::SaveDate => {
                self.label("SAVEDATE ");
                match facts.savedate {
                    Some(moment) => write_date_time(&mut self.text, moment),
                    None => self.label("NIL"),
                }
            }
            FetchItem::EmailId => self.object_id("EMAILID ", Some(facts.email_id)),
            FetchItem::ThreadId => self.object_id("THREADID ", facts.thread_id),
            FetchItem::Preview => self.preview()?,
            FetchItem::Envelope => {
                self.label("ENVELOPE ");
                let envelope = facts.envelope.ok_or(RenderError::MissingFact)?;
                mime::envelope_text(envelope, self.items.utf8, &mut self.text);
            }
            FetchItem::Body => {
                self.label("BODY ");
                mime::body_text(self.structure()?, self.items.utf8, &mut self.text);
            }
            FetchItem::BodyStructure => {
                self.label("BODYSTRUCTURE ");
                mime::bodystructure_text(self.structure()?, self.items.utf8, &mut self.text);
            }
            FetchItem::Section { section, partial, alias, .. } => self.section(section, *partial, *alias)?,
            FetchItem::Binary { path, partial, .. } => self.binary(path, *partial)?,
            FetchItem::BinarySize { path } => self.binary_size(path)?,
        }
        Ok(())
    }

    fn label(&mut self, label: &str) {
        self.text.extend_from_slice(label.as_bytes());
    }

    fn state(&mut self, items: StateItems) {
        encode::state_items(&mut self.text, &self.target.state, items, &self.items.keywords);
    }

    fn structure(&self) -> Result<&'a Structure, RenderError> {
        self.facts.structure.ok_or(RenderError::MissingFact)
    }

    /// RFC 8474 section 5.
    fn object_id(&mut self, label: &str, id: Option<&str>) {
        self.label(label);
        match id {
            Some(id) => {
                self.text.push(b'(');
                self.label(id);
                self.text.push(b')');
            }
            None => self.label("NIL"),
        }
    }

    /// RFC 8970 section 3.
    fn preview(&mut self) -> Result<(), RenderError> {
        self.label("PREVIEW ");
        match self.facts.preview {
            Some(preview) => mime::string(preview.as_bytes(), self.items.utf8, &mut self.text),
            None => {
                let preview = mime::preview(self.structure()?, self.body)?;
                mime::string(preview.as_bytes(), self.items.utf8, &mut self.text);
            }
        }
        Ok(())
    }

    fn section(
        &mut self,
        section: &Section,
        partial: Option<(u64, u64)>,
        alias: Option<&'static str>,
    ) -> Result<(), RenderError> {
        match alias {
            Some(alias) => self.label(alias),
            None => self.section_label(section),
        }
        self.offset_label(partial);
        let range = self.section_range(section)?;
        let Some(range) = range else {
            // No such part: NIL, as Dovecot answers.
            self.label(" NIL");
            return Ok(());
        };
        if let SectionText::Fields { names, not } = &section.text {
            let header = read_range(self.body, range, HEADER_SECTION_BYTES_MAX)?;
            let mode = if *not { FilterMode::Drop } else { FilterMode::Keep };
            let fields = filter_fields(&header, names, mode);
            let cut = cut(0..fields.len() as u64, partial);
            let cut = fields.get(cut.start as usize..cut.end as usize).unwrap_or_default();
            self.literal_head(cut.len() as u64, false);
            self.text.extend_from_slice(cut);
            return Ok(());
        }
        self.range(cut(range, partial), false)
    }

    fn section_range(&self, section: &Section) -> Result<Option<Range<u64>>, RenderError> {
        if section.is_whole_message() {
            return Ok(Some(0..self.facts.size_bytes));
        }
        let kind = match section.text {
            SectionText::Whole => SectionKind::Whole,
            SectionText::Header | SectionText::Fields { .. } => SectionKind::Header,
            SectionText::Text => SectionKind::Text,
            SectionText::Mime => SectionKind::Mime,
        };
        Ok(section_range(self.structure()?, &section.path, kind))
    }

    /// ```text
    /// "BODY" section ["<" number ">"]
    /// ```
    fn section_label(&mut self, section: &Section) {
        self.label("BODY[");
        self.path(&section.path);
        let dot = if section.path.is_empty() { "" } else { "." };
        let word = match &section.text {
            SectionText::Whole => "",
            SectionText::Header => "HEADER",
            SectionText::Text => "TEXT",
            SectionText::Mime => "MIME",
            SectionText::Fields { not: false, .. } => "HEADER.FIELDS (",
            SectionText::Fields { not: true, .. } => "HEADER.FIELDS.NOT (",
        };
        if !word.is_empty() {
            self.label(dot);
            self.label(word);
        }
        if let SectionText::Fields { names, .. } = &section.text {
            for (index, name) in names.iter().enumerate() {
                if index > 0 {
                    self.text.push(b' ');
                }
                self.field_name(name);
            }
            self.text.push(b')');
        }
        self.text.push(b']');
    }

    fn field_name(&mut self, name: &str) {
        if !name.is_empty() && name.bytes().all(crate::imap::parser::cursor::is_atom_char) {
            self.label(name);
        } else {
            mime::string(name.as_bytes(), self.items.utf8, &mut self.text);
        }
    }

    fn path(&mut self, path: &[u32]) {
        for (index, number) in path.iter().enumerate() {
            if index > 0 {
                self.text.push(b'.');
            }
            encode::number(&mut self.text, (*number).into());
        }
    }

    fn offset_label(&mut self, partial: Option<(u64, u64)>) {
        if let Some((offset, _)) = partial {
            self.text.push(b'<');
            encode::number(&mut self.text, offset);
            self.text.push(b'>');
        }
    }

    fn literal_head(&mut self, size: u64, binary: bool) {
        self.label(if binary { " ~{" } else { " {" });
        encode::number(&mut self.text, size);
        self.label("}\r\n");
    }

    /// Bytes of the message as a literal; the sink copies them.
    fn range(&mut self, range: Range<u64>, binary: bool) -> Result<(), RenderError> {
        self.literal_head(range.end - range.start, binary);
        if !range.is_empty() {
            self.flush()?;
            self.sink.body_range(range)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.write(&self.text)?;
        self.text.clear();
        Ok(())
    }

    /// RFC 3516 section 4.2: the content without its transfer encoding.
    fn binary(&mut self, path: &[u32], partial: Option<(u64, u64)>) -> Result<(), RenderError> {
        self.label("BINARY[");
        self.path(path);
        self.text.push(b']');
        self.offset_label(partial);
        if path.is_empty() {
            return self.range(cut(0..self.facts.size_bytes, partial), false);
        }
        let Some(part) = find_part(self.structure()?, path) else {
            self.label(" NIL");
            return Ok(());
        };
        let encoding = part.transfer_encoding();
        let range = part.body.clone();
        if encoding == TransferEncoding::Identity {
            let binary = part.encoding.as_deref() == Some("binary");
            return self.range(cut(range, partial), binary);
        }
        // Decoded twice rather than held: a literal begins with its length.
        let mut size = 0;
        let mut has_nul = false;
        decode(self.body, range.clone(), encoding, &mut |content| {
            size += content.len() as u64;
            has_nul |= memchr::memchr(0, content).is_some();
            Ok(())
        })?;
        let wanted = cut(0..size, partial);
        self.literal_head(wanted.end - wanted.start, has_nul);
        self.flush()?;
        let sink = &mut *self.sink;
        let mut position = 0;
        decode(self.body, range, encoding, &mut |content| {
            let end = position + content.len() as u64;
            let from = wanted.start.clamp(position, end) - position;
            let to = wanted.end.clamp(position, end) - position;
            position = end;
            sink.write(content.get(from as usize..to as usize).unwrap_or_default())
        })
    }

    /// RFC 3516 section 4.2: BINARY.SIZE.
    fn binary_size(&mut self, path: &[u32]) -> Result<(), RenderError> {
        self.label("BINARY.SIZE[");
        self.path(path);
        self.label("] ");
        let size = if path.is_empty() {
            self.facts.size_bytes
        } else {
            match find_part(self.structure()?, path) {
                Some(part) => match mime::decoded_size(part, self.body)? {
                    Ok(size) => size,
                    Err(_) => return Err(RenderError::UnknownEncoding),
                },
                None => 0,
            }
        };
        encode::number(&mut self.text, size);
        Ok(())
    }
}

fn decode(
    body: &mut dyn ReadAt,
    range: Range<u64>,
    encoding: TransferEncoding,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), RenderError> {
    let mut decoder = Decoder::new(encoding).map_err(|_| RenderError::UnknownEncoding)?;
    let mut reader = RangeReader::new(body, range);
    let mut content = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        decoder.push(chunk, &mut content);
        take(&content)?;
        content.clear();
    }
    decoder.finish(&mut content);
    Ok(take(&content)?)
}

/// The part of `range` that `<offset.count>` names; empty beyond the end (RFC 9051 section 6.4.5).
fn cut(range: Range<u64>, partial: Option<(u64, u64)>) -> Range<u64> {
    let Some((offset, count)) = partial else { return range };
    let start = range.start.saturating_add(offset).min(range.end);
    let end = start.saturating_add(count).min(range.end);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parser::cursor::Cursor;
    use crate::imap::parser::fetch::fetch;
    use crate::imap::store::{Flags, MessageState};
    use crate::mime::Scanner;
    use std::sync::Arc;

    const MESSAGE: &[u8] = b"From: a@b\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAGhlbGxv\r\n--q\r\nContent-Transfer-Encoding: odd\r\n\r\nz\r\n--q--\r\n";

    struct Gather<'a> {
        message: &'a [u8],
        out: Vec<u8>,
    }

    impl Sink for Gather<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.out.extend_from_slice(bytes);
            Ok(())
        }

        fn body_range(&mut self, range: Range<u64>) -> io::Result<()> {
            self.out.extend_from_slice(&self.message[range.start as usize..range.end as usize]);
            Ok(())
        }
    }

    fn rendered(items: &str) -> Result<String, RenderError> {
        let arguments = fetch(&mut Cursor::new(format!("1 {items}").as_bytes())).unwrap();
        let items = FetchItems::new(arguments.items, Arc::default(), false, false);
        let mut scanner = Scanner::new();
        scanner.push(MESSAGE);
        let digest = scanner.finish_digest();
        let facts = MessageFacts {
            size_bytes: MESSAGE.len() as u64,
            email_id: "M1",
            envelope: Some(&digest.envelope),
            structure: Some(&digest.structure),
            ..MessageFacts::default()
        };
        let state = MessageState { uid: 5, modseq: 6, flags: Flags::SEEN };
        let target = FetchTarget { sequence: 2, state, flags_changed: true };
        let mut sink = Gather { message: MESSAGE, out: Vec::new() };
        let mut body = MESSAGE;
        render(&items, &target, &facts, &mut body, &mut sink)?;
        Ok(String::from_utf8_lossy(&sink.out).into_owned())
    }

    #[test]
    fn items_are_rendered_in_order() {
        let text = rendered("(UID INTERNALDATE RFC822.SIZE EMAILID THREADID SAVEDATE)").unwrap();
        assert_eq!(
            text,
            "* 2 FETCH (UID 5 INTERNALDATE \"01-Jan-1970 00:00:00 +0000\" RFC822.SIZE 169 EMAILID (M1) THREADID NIL \
             SAVEDATE NIL)\r\n"
        );
    }

    #[test]
    fn sections_and_partials() {
        let text = rendered("(FLAGS BODY[HEADER.FIELDS (SUBJECT)] BODY[1]<2.3> BODY[9] BODY[TEXT]<1000.1>)").unwrap();
        assert_eq!(
            text,
            "* 2 FETCH (FLAGS (\\Seen) BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: x\r\n\r\n BODY[1]<2> {3}\r\nhlb \
             BODY[9] NIL BODY[TEXT]<1000> {0}\r\n)\r\n"
        );
    }

    #[test]
    fn flags_that_changed_go_ahead_of_the_content() {
        let text = rendered("(UID BODY[TEXT]<0.1> BODY[]<0.1>)").unwrap();
        assert_eq!(text, "* 2 FETCH (UID 5 FLAGS (\\Seen) BODY[TEXT]<0> {1}\r\n- BODY[]<0> {1}\r\nF)\r\n");
    }

    #[test]
    fn binary_content_is_decoded() {
        let text = rendered("(FLAGS BINARY.SIZE[1] BINARY[1] BINARY[1]<1.2>)").unwrap();
        assert_eq!(
            text,
            "* 2 FETCH (FLAGS (\\Seen) BINARY.SIZE[1] 6 BINARY[1] ~{6}\r\n\0hello BINARY[1]<1> ~{2}\r\nhe)\r\n"
        );
        assert!(matches!(rendered("BINARY[2]"), Err(RenderError::UnknownEncoding)));
    }
}
