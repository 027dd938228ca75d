//! From search keys as written to a program for one snapshot.

use super::{Key, SearchNeeds, SearchProgram};
use crate::imap::parser::command::Addressing;
use crate::imap::parser::search::{DateKind, SearchKey};
use crate::imap::parser::sequence::SequenceSet;
use crate::imap::snapshot::Snapshot;
use crate::imap::store::Flags;
use crate::mime::{AddressField, Needle};

/// Resolves sets and keywords, prepares needles, and puts what is cheap first.
pub fn compile(key: &SearchKey, snapshot: &Snapshot) -> SearchProgram {
    let mut compiler = Compiler { snapshot, needs: SearchNeeds::default(), asks_modseq: false, keys: 0 };
    let key = compiler.key(key);
    SearchProgram { needs: compiler.needs, asks_modseq: compiler.asks_modseq, keys: compiler.keys, key }
}

struct Compiler<'a> {
    snapshot: &'a Snapshot,
    needs: SearchNeeds,
    asks_modseq: bool,
    keys: usize,
}

impl Compiler<'_> {
    fn key(&mut self, key: &SearchKey) -> Key {
        self.keys += 1;
        match key {
            SearchKey::All => Key::Constant(true),
            SearchKey::Recent => Key::Constant(false),
            SearchKey::SaveDateSupported => Key::Constant(true),
            SearchKey::And(keys) => {
                let mut keys: Vec<Key> = keys.iter().map(|key| self.key(key)).collect();
                keys.sort_by_key(cost);
                Key::And(keys)
            }
            SearchKey::Or(left, right) => {
                let (left, right) = (self.key(left), self.key(right));
                let (first, second) = if cost(&left) <= cost(&right) { (left, right) } else { (right, left) };
                Key::Or(Box::new(first), Box::new(second))
            }
            SearchKey::Not(key) => Key::Not(Box::new(self.key(key))),
            SearchKey::Sequence(set) => self.set(set, Addressing::Sequence),
            SearchKey::Uid(set) => self.set(set, Addressing::Uid),
            SearchKey::Flag(flag) => Key::Flag(*flag),
            SearchKey::Keyword(name) => self.keyword(name),
            SearchKey::ModSeq(modseq) => {
                self.asks_modseq = true;
                Key::ModSeq(*modseq)
            }
            key => self.content(key),
        }
    }

    fn set(&self, set: &SequenceSet, addressing: Addressing) -> Key {
        let selection = self.snapshot.select_existing(set, addressing);
        Key::Uids(self.snapshot.uids(&selection))
    }

    /// A keyword the folder does not have is on no message.
    fn keyword(&self, name: &str) -> Key {
        let index = self.snapshot.keywords.iter().position(|known| known.eq_ignore_ascii_case(name));
        match index.and_then(Flags::keyword) {
            Some(flag) => Key::Flag(flag),
            None => Key::Constant(false),
        }
    }

    /// Keys that the snapshot cannot answer.
    fn content(&mut self, key: &SearchKey) -> Key {
        match key {
            SearchKey::Date(DateKind::Sent, ..) => self.needs.envelope = true,
            SearchKey::Header(..) => {}
            SearchKey::Body(_) | SearchKey::Text(_) => {
                (self.needs.structure, self.needs.body) = (true, true);
            }
            _ => self.needs.record = true,
        }
        match key {
            SearchKey::Larger(size) => Key::Larger(*size),
            SearchKey::Smaller(size) => Key::Smaller(*size),
            SearchKey::Date(kind, order, day) => Key::Date(*kind, *order, *day),
            SearchKey::Younger(seconds) => Key::Younger(*seconds),
            SearchKey::Older(seconds) => Key::Older(*seconds),
            SearchKey::EmailId(id) => Key::EmailId(id.clone()),
            SearchKey::ThreadId(id) => Key::ThreadId(id.clone()),
            SearchKey::Header(name, text) => self.header(name, Needle::new(text)),
            SearchKey::Body(text) => Key::Body(Needle::new(text)),
            SearchKey::Text(text) => Key::Text(Needle::new(text)),
            // Answered by `key`.
            _ => Key::Constant(false),
        }
    }

    /// Fields of the envelope are answered from it; others from the header itself.
    fn header(&mut self, name: &str, needle: Needle) -> Key {
        let upper = name.to_ascii_uppercase();
        let address = match upper.as_str() {
            "FROM" => Some(AddressField::From),
            "TO" => Some(AddressField::To),
            "CC" => Some(AddressField::Cc),
            "BCC" => Some(AddressField::Bcc),
            _ => None,
        };
        self.needs.envelope |= address.is_some() || matches!(upper.as_str(), "SUBJECT" | "MESSAGE-ID" | "IN-REPLY-TO");
        match (address, upper.as_str()) {
            (Some(field), _) => Key::Address(field, needle),
            (None, "SUBJECT") => Key::Subject(needle),
            (None, "MESSAGE-ID") => Key::MessageId(needle),
            (None, "IN-REPLY-TO") => Key::InReplyTo(needle),
            _ => {
                (self.needs.structure, self.needs.body) = (true, true);
                Key::Header(name.to_owned(), needle)
            }
        }
    }
}

/// Rank of what a key reads: snapshot, record, envelope, header, body.
fn cost(key: &Key) -> u8 {
    match key {
        Key::Constant(_) | Key::Uids(_) | Key::Flag(_) | Key::ModSeq(_) => 0,
        Key::And(keys) => keys.iter().map(cost).max().unwrap_or(0),
        Key::Or(left, right) => cost(left).max(cost(right)),
        Key::Not(key) => cost(key),
        Key::Date(DateKind::Sent, ..) | Key::Address(..) | Key::Subject(_) | Key::MessageId(_) | Key::InReplyTo(_) => 2,
        Key::Header(..) => 3,
        Key::Body(_) | Key::Text(_) => 4,
        _ => 1,
    }
}
