//! The MIME tree of one message as a flat list of parts with absolute offsets. Made by the scanner, stored in the
//! digest, read by everything else. Holds no content of the message beyond descriptive fields.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::envelope::Envelope;
use super::parameters::{Parameter, find_parameter};
use super::raw_text::RawText;
use super::transfer::TransferEncoding;

/// The tree. `parts[0]` is the message itself; children always stand behind their parent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// Never empty when made by the scanner.
    pub parts: Vec<Part>,
}

/// One part. All ranges are octets from the start of the whole message; `header.end == body.start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The header section with the blank line that ends it.
    pub header: Range<u64>,
    /// The body in its transfer encoding, without the line break that belongs to the next boundary.
    pub body: Range<u64>,
    /// Line feeds in `body`.
    pub lines: u32,
    /// Lower case, such as `text`.
    pub media_type: Box<str>,
    /// Lower case, such as `plain`.
    pub subtype: Box<str>,
    /// Content-Type parameters in their order; RFC 2231 continuations joined.
    pub parameters: Vec<Parameter>,
    /// Content-ID as it stands, with its angle brackets.
    pub content_id: Option<RawText>,
    /// Content-Description as it stands, encoded words kept.
    pub description: Option<RawText>,
    /// Content-Transfer-Encoding, lower case; `None` is `7bit` (RFC 2045 section 6.1).
    pub encoding: Option<Box<str>>,
    /// Content-MD5.
    pub md5: Option<RawText>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Language tags of Content-Language.
    pub language: Vec<RawText>,
    /// Content-Location.
    pub location: Option<RawText>,
    /// Indexes into `Structure::parts`, in order: the parts of a multipart, or the one embedded message of a
    /// `message/rfc822` or `message/global`.
    pub children: Vec<u32>,
    /// The envelope of the embedded message; set exactly when the part has one.
    pub envelope: Option<Box<Envelope>>,
}

/// Content-Disposition (RFC 2183).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    /// Lower case, such as `attachment`.
    pub kind: Box<str>,
    /// Parameters in their order; RFC 2231 continuations joined.
    pub parameters: Vec<Parameter>,
}

impl Structure {
    /// The message itself.
    pub fn root(&self) -> Option<&Part> {
        self.parts.first()
    }

    /// Octets of the whole message (RFC822.SIZE).
    pub fn size(&self) -> u64 {
        self.root().map_or(0, |root| root.body.end)
    }

    /// The part at an index taken from `children`.
    pub fn part(&self, index: u32) -> Option<&Part> {
        self.parts.get(index as usize)
    }

    /// The children of a part, in order.
    pub fn children<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Part> {
        part.children.iter().filter_map(|&index| self.part(index))
    }

    /// Whether a person would say that something is attached: a leaf that is neither text nor inline in the body.
    pub fn has_attachment(&self) -> bool {
        self.parts.iter().any(Part::is_attachment)
    }
}

impl Part {
    /// `multipart/*` that was split; its children are its parts.
    pub fn is_multipart(&self) -> bool {
        &*self.media_type == "multipart"
    }

    /// An embedded message that was split; its one child is that message.
    pub fn is_message(&self) -> bool {
        &*self.media_type == "message" && matches!(&*self.subtype, "rfc822" | "global")
    }

    /// `text/*`.
    pub fn is_text(&self) -> bool {
        &*self.media_type == "text"
    }

    /// A leaf marked `attachment`, or one with a file name that is not text meant to be read in place.
    pub fn is_attachment(&self) -> bool {
        if self.is_multipart() {
            return false;
        }
        match self.disposition.as_ref().map(|disposition| &*disposition.kind) {
            Some("attachment") => true,
            Some("inline") => false,
            _ => !self.is_text() && (self.file_name().is_some() || self.is_message()),
        }
    }

    /// The charset parameter.
    pub fn charset(&self) -> Option<Cow<'_, [u8]>> {
        find_parameter(&self.parameters, "charset").map(Parameter::plain_octets)
    }

    /// The decoded file name from Content-Disposition, or from Content-Type's `name`.
    pub fn file_name(&self) -> Option<String> {
        self.disposition
            .as_ref()
            .and_then(|disposition| find_parameter(&disposition.parameters, "filename"))
            .or_else(|| find_parameter(&self.parameters, "name"))
            .map(Parameter::decoded)
    }

    /// The transfer encoding by its meaning.
    pub fn transfer_encoding(&self) -> TransferEncoding {
        TransferEncoding::from_name(self.encoding.as_deref())
    }
}
