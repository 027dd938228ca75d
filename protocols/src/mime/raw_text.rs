//! Octets of a header value as they stood in the message: encoded words kept, any charset, no CR, LF or NUL.
//! Compact (two words), and serialised as one run of octets. Decoding is done by `header::decode_text`.

use std::fmt;
use std::ops::Deref;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Raw octets of an unfolded header value or a piece of one.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawText(Box<[u8]>);

impl RawText {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text with encoded words (RFC 2047) decoded and stray octets replaced.
    pub fn decoded(&self) -> String {
        super::header::decode_text(&self.0)
    }
}

impl Deref for RawText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for RawText {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets.into_boxed_slice())
    }
}

impl From<&[u8]> for RawText {
    fn from(octets: &[u8]) -> Self {
        Self(octets.into())
    }
}

impl From<&str> for RawText {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl PartialEq<&str> for RawText {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == other.as_bytes()
    }
}

impl fmt::Debug for RawText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for RawText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(OctetVisitor)
    }
}

struct OctetVisitor;

impl<'de> Visitor<'de> for OctetVisitor {
    type Value = RawText;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("octets")
    }

    fn visit_bytes<E: Error>(self, octets: &[u8]) -> Result<RawText, E> {
        Ok(RawText::from(octets))
    }

    fn visit_byte_buf<E: Error>(self, octets: Vec<u8>) -> Result<RawText, E> {
        Ok(RawText::from(octets))
    }

    /// Self-describing formats such as JSON have no octet type and give a list of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<RawText, A::Error> {
        let mut octets = Vec::new();
        while let Some(octet) = sequence.next_element::<u8>()? {
            octets.push(octet);
        }
        Ok(RawText::from(octets))
    }
}
