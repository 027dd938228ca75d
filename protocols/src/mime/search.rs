//! IMAP's search over one message (RFC 9051 section 6.4.4): a needle in a header field, in envelope addresses, in
//! the body or anywhere. In: structure, envelope or header, and the file by ranges; out: found or not.

use std::io;
use std::ops::ControlFlow;

use super::address::Address;
use super::content::visit_text;
use super::envelope::{AddressField, Envelope};
use super::header::{decode_text, fields, unfold};
use super::needle::{Needle, Window};
use super::read_at::{ReadAt, read_range};
use super::structure::{Part, Structure};
use crate::limits::mime::HEADER_SECTION_BYTES_MAX;

/// HEADER `name` `needle`: whether a field of that name contains the needle. The empty needle asks whether there
/// is such a field.
pub fn header_contains(header: &[u8], name: &str, needle: &Needle) -> bool {
    fields(header).filter(|field| field.is(name)).any(|field| needle.is_in_raw(&unfold(field.value)))
}

/// FROM, TO, CC, BCC: whether an address of that field contains the needle, written as `Name <local@domain>`.
/// The empty needle asks whether there is any.
pub fn envelope_contains(envelope: &Envelope, field: AddressField, needle: &Needle) -> bool {
    envelope.addresses(field).iter().any(|address| needle.is_in(&display(address)))
}

fn display(address: &Address) -> String {
    match (address.decoded_name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (None, Some(address)) => address,
        (_, None) => address.mailbox.as_deref().map(decode_text).unwrap_or_default(),
    }
}

/// BODY and TEXT: a search through the content of one message, reading as little of it as needed.
#[derive(Clone, Copy, Debug)]
pub struct TextSearch<'a> {
    structure: &'a Structure,
    needle: &'a Needle,
}

impl<'a> TextSearch<'a> {
    /// A search of the message with this structure.
    pub fn new(structure: &'a Structure, needle: &'a Needle) -> Self {
        Self { structure, needle }
    }

    /// BODY: the decoded text parts and the headers of embedded messages. Errors are the reader's.
    pub fn in_body(&self, source: &mut dyn ReadAt) -> io::Result<bool> {
        self.search(source, false)
    }

    /// TEXT: all that BODY looks at, the message's header and the MIME headers of its parts.
    pub fn in_text(&self, source: &mut dyn ReadAt) -> io::Result<bool> {
        self.search(source, true)
    }

    fn search(&self, source: &mut dyn ReadAt, with_own_headers: bool) -> io::Result<bool> {
        if self.needle.is_empty() {
            return Ok(true);
        }
        let mut is_embedded = false;
        for part in &self.structure.parts {
            // An embedded message stands right behind the part that embeds it.
            if (with_own_headers || is_embedded) && self.in_header(part, source)? {
                return Ok(true);
            }
            if part.is_text() && self.in_content(part, source)? {
                return Ok(true);
            }
            is_embedded = part.is_message();
        }
        Ok(false)
    }

    fn in_header(&self, part: &Part, source: &mut dyn ReadAt) -> io::Result<bool> {
        let header = read_range(source, part.header.clone(), HEADER_SECTION_BYTES_MAX)?;
        Ok(fields(&header).any(|field| self.needle.is_in_raw(&[field.name, b": ", &*unfold(field.value)].concat())))
    }

    fn in_content(&self, part: &Part, source: &mut dyn ReadAt) -> io::Result<bool> {
        let mut window = Window::new(self.needle);
        let mut is_found = false;
        visit_text(part, source, |text| {
            is_found = window.push(text);
            if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(is_found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scanner::Scanner;
    use super::*;

    const MESSAGE: &[u8] = b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: team: a@x;\r\n\
        Subject: a long\r\n subject\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Sch=F6ne Gr=\r\n=FC=DFe\r\n--b\r\nContent-Type: application/x-secret\r\n\r\nhidden\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: inner topic\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        aW5zaWRlIHRleHQ=\r\n--b--\r\nepilogue\r\n";

    fn search(needle: &str) -> (bool, bool) {
        let mut scanner = Scanner::new();
        scanner.push(MESSAGE);
        let structure = scanner.finish();
        let needle = Needle::new(needle);
        let search = TextSearch::new(&structure, &needle);
        (search.in_body(&mut &*MESSAGE).unwrap(), search.in_text(&mut &*MESSAGE).unwrap())
    }

    #[test]
    fn body_looks_at_decoded_text_and_embedded_messages() {
        for needle in ["schöne grüße", "inner topic", "INSIDE TEXT", ""] {
            assert_eq!(search(needle), (true, true), "{needle}");
        }
    }

    #[test]
    fn text_looks_at_headers_too() {
        for needle in ["jörg", "a long subject", "subject: a", "x-secret"] {
            assert_eq!(search(needle), (false, true), "{needle}");
        }
    }

    #[test]
    fn binary_parts_preamble_and_epilogue_are_not_text() {
        for needle in ["hidden", "preamble", "epilogue", "nowhere"] {
            assert_eq!(search(needle), (false, false), "{needle}");
        }
    }

    #[test]
    fn header_fields_are_searched_decoded_and_unfolded() {
        assert!(header_contains(MESSAGE, "from", &Needle::new("JÖRG")));
        assert!(header_contains(MESSAGE, "Subject", &Needle::new("long subject")));
        assert!(header_contains(MESSAGE, "to", &Needle::new("")));
        assert!(!header_contains(MESSAGE, "cc", &Needle::new("")));
        assert!(!header_contains(MESSAGE, "Content-Transfer-Encoding", &Needle::new("")));
    }

    #[test]
    fn envelope_addresses_are_searched_as_written() {
        let envelope = Envelope::parse(MESSAGE);
        assert!(envelope_contains(&envelope, AddressField::From, &Needle::new("jörg <JOERG@ex")));
        assert!(envelope_contains(&envelope, AddressField::To, &Needle::new("team")));
        assert!(envelope_contains(&envelope, AddressField::To, &Needle::new("a@x")));
        assert!(!envelope_contains(&envelope, AddressField::Cc, &Needle::new("")));
    }
}
