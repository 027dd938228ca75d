//! The envelope of a message as IMAP knows it (RFC 9051 section 7.5.2): raw values of the originator, destination
//! and identification fields. In: one header section. Decoding is left to the accessors of `RawText` and `Address`.

use serde::{Deserialize, Serialize};

use super::address::{Address, parse_addresses};
use super::header::{Field, fields, unfold};
use super::raw_text::RawText;
use crate::limits::mime::{ADDRESSES_MAX, FIELD_VALUE_BYTES_MAX, HEADER_SECTION_BYTES_MAX};

/// Envelope fields as they stand in the header, unfolded. Absent fields are `None` or empty; the defaults of
/// Sender and Reply-To are applied when the envelope is written out, not here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Date.
    pub date: Option<RawText>,
    /// Subject, encoded words kept.
    pub subject: Option<RawText>,
    /// From.
    pub from: Vec<Address>,
    /// Sender.
    pub sender: Vec<Address>,
    /// Reply-To.
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// In-Reply-To.
    pub in_reply_to: Option<RawText>,
    /// Message-ID, with its angle brackets.
    pub message_id: Option<RawText>,
}

/// The address fields an envelope holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// From
    From,
    /// Sender
    Sender,
    /// Reply-To
    ReplyTo,
    /// To
    To,
    /// Cc
    Cc,
    /// Bcc
    Bcc,
}

impl Envelope {
    /// Reads the header section of a message; what stands behind its blank line or beyond
    /// `HEADER_SECTION_BYTES_MAX` is not looked at. A repeated address field adds its addresses; of other
    /// repeated fields the first counts.
    pub fn parse(header: &[u8]) -> Self {
        let mut envelope = Self::default();
        let mut addresses_left = ADDRESSES_MAX;
        for field in fields(&header[..header.len().min(HEADER_SECTION_BYTES_MAX)]) {
            envelope.take(&field, &mut addresses_left);
        }
        envelope
    }

    /// The addresses of one field.
    pub fn addresses(&self, field: AddressField) -> &[Address] {
        match field {
            AddressField::From => &self.from,
            AddressField::Sender => &self.sender,
            AddressField::ReplyTo => &self.reply_to,
            AddressField::To => &self.to,
            AddressField::Cc => &self.cc,
            AddressField::Bcc => &self.bcc,
        }
    }

    /// The subject with encoded words decoded.
    pub fn decoded_subject(&self) -> Option<String> {
        self.subject.as_ref().map(RawText::decoded)
    }

    /// Octets this envelope keeps in memory beyond its own size, roughly.
    pub(super) fn cost_bytes(&self) -> usize {
        let texts = [&self.date, &self.subject, &self.in_reply_to, &self.message_id];
        let lists = [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc];
        let text_cost = |text: &Option<RawText>| text.as_ref().map_or(0, |text| text.len());
        texts.into_iter().map(text_cost).sum::<usize>()
            + lists
                .into_iter()
                .flatten()
                .map(|address| {
                    size_of::<Address>()
                        + [&address.name, &address.route, &address.mailbox, &address.host]
                            .into_iter()
                            .map(text_cost)
                            .sum::<usize>()
                })
                .sum::<usize>()
    }

    fn take(&mut self, field: &Field<'_>, addresses_left: &mut usize) {
        let addresses = match field.name.len() {
            2 if field.is("To") => &mut self.to,
            2 if field.is("Cc") => &mut self.cc,
            3 if field.is("Bcc") => &mut self.bcc,
            4 if field.is("From") => &mut self.from,
            4 if field.is("Date") => return keep_first(&mut self.date, field),
            6 if field.is("Sender") => &mut self.sender,
            7 if field.is("Subject") => return keep_first(&mut self.subject, field),
            8 if field.is("Reply-To") => &mut self.reply_to,
            10 if field.is("Message-ID") => return keep_first(&mut self.message_id, field),
            11 if field.is("In-Reply-To") => return keep_first(&mut self.in_reply_to, field),
            _ => return,
        };
        let before = addresses.len();
        parse_addresses(&unfold(field.value), addresses, before + *addresses_left);
        *addresses_left -= addresses.len() - before;
    }
}

fn keep_first(slot: &mut Option<RawText>, field: &Field<'_>) {
    slot.get_or_insert_with(|| kept_value(field.value));
}

/// A field value unfolded and cut to `FIELD_VALUE_BYTES_MAX`.
pub(super) fn kept_value(value: &[u8]) -> RawText {
    let unfolded = unfold(value);
    RawText::from(&unfolded[..unfolded.len().min(FIELD_VALUE_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_read_from_a_header() {
        let envelope = Envelope::parse(
            b"Received: from x\r\nDATE: Fri, 21 Nov 1997 09:55:06 -0600\r\nSubject: =?utf-8?q?=C3=A9t=C3=A9?=\r\n  two\r\n\
              From: A <a@x>\r\nTo: b@y\r\nTo: c@z\r\nMessage-Id: <1@x>\r\nSubject: second\r\n\r\nCc: body@x\r\n",
        );
        assert_eq!(envelope.date.unwrap(), "Fri, 21 Nov 1997 09:55:06 -0600");
        assert_eq!(envelope.subject.as_ref().unwrap(), &"=?utf-8?q?=C3=A9t=C3=A9?=  two");
        assert_eq!(envelope.subject.unwrap().decoded(), "été  two");
        assert_eq!(envelope.from.len(), 1);
        assert_eq!(envelope.to.iter().filter_map(Address::address).collect::<Vec<_>>(), ["b@y", "c@z"]);
        assert_eq!(envelope.message_id.unwrap(), "<1@x>");
        assert!(envelope.cc.is_empty() && envelope.sender.is_empty() && envelope.in_reply_to.is_none());
    }

    #[test]
    fn a_present_but_empty_subject_is_not_absent() {
        assert_eq!(Envelope::parse(b"Subject:\r\n").subject, Some(RawText::default()));
    }

    #[test]
    fn addresses_are_bounded_over_all_fields() {
        let many = "a@b,".repeat(ADDRESSES_MAX);
        let envelope = Envelope::parse(format!("To: {many}\r\nCc: {many}\r\n").as_bytes());
        assert_eq!(envelope.to.len(), ADDRESSES_MAX);
        assert!(envelope.cc.is_empty());
    }

    #[test]
    fn eight_bit_octets_are_kept() {
        assert_eq!(&**Envelope::parse(b"Subject: caf\xe9\n").subject.as_ref().unwrap(), b"caf\xe9");
    }
}
