//! Does a message match? From the snapshot alone as far as that goes, and with all facts.

use std::io;

use super::{Key, SearchProgram};
use crate::imap::date::day_of;
use crate::imap::fetch::MessageFacts;
use crate::imap::parser::search::{DateKind, DateOrder};
use crate::imap::store::MessageState;
use crate::limits::mime::HEADER_SECTION_BYTES_MAX;
use crate::mime::{Needle, RawText, ReadAt, TextSearch, envelope_contains, header_contains, read_range};

/// What the snapshot alone says: `None` when more must be known.
pub fn decide(program: &SearchProgram, state: &MessageState) -> Option<bool> {
    decide_key(&program.key, state)
}

fn decide_key(key: &Key, state: &MessageState) -> Option<bool> {
    match key {
        Key::Constant(value) => Some(*value),
        Key::Flag(flag) => Some(state.flags.contains(*flag)),
        Key::Uids(uids) => Some(uids.contains(state.uid)),
        Key::ModSeq(modseq) => Some(state.modseq >= *modseq),
        Key::Not(key) => decide_key(key, state).map(|value| !value),
        Key::And(keys) => {
            let mut known = true;
            for key in keys {
                match decide_key(key, state) {
                    Some(false) => return Some(false),
                    Some(true) => {}
                    None => known = false,
                }
            }
            known.then_some(true)
        }
        Key::Or(left, right) => match (decide_key(left, state), decide_key(right, state)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a message matches. `now`: seconds since 1970 UTC. A fact that is not there matches nothing.
///
/// # Errors
/// The reader's.
pub fn matches(
    program: &SearchProgram,
    state: &MessageState,
    facts: &MessageFacts<'_>,
    now: i64,
    body: &mut dyn ReadAt,
) -> io::Result<bool> {
    Tester { state, facts, now, body }.test(&program.key)
}

struct Tester<'a> {
    state: &'a MessageState,
    facts: &'a MessageFacts<'a>,
    now: i64,
    body: &'a mut dyn ReadAt,
}

impl Tester<'_> {
    fn test(&mut self, key: &Key) -> io::Result<bool> {
        match key {
            Key::Not(key) => Ok(!self.test(key)?),
            Key::And(keys) => {
                for key in keys {
                    if !self.test(key)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Key::Or(left, right) => Ok(self.test(left)? || self.test(right)?),
            Key::Header(name, needle) => self.header(name, needle),
            Key::Body(needle) => match self.facts.structure {
                Some(structure) => TextSearch::new(structure, needle).in_body(self.body),
                None => Ok(false),
            },
            Key::Text(needle) => match self.facts.structure {
                Some(structure) => TextSearch::new(structure, needle).in_text(self.body),
                None => Ok(false),
            },
            key => Ok(decide_key(key, self.state).unwrap_or_else(|| self.fact(key))),
        }
    }

    /// Keys that need facts but no reading.
    fn fact(&self, key: &Key) -> bool {
        let facts = self.facts;
        let text = |text: Option<&RawText>, needle: &Needle| text.is_some_and(|text| needle.is_in_raw(text));
        match key {
            Key::Larger(size) => facts.size_bytes > *size,
            Key::Smaller(size) => facts.size_bytes < *size,
            Key::Younger(seconds) => facts.internaldate >= self.now.saturating_sub((*seconds).into()),
            Key::Older(seconds) => facts.internaldate <= self.now.saturating_sub((*seconds).into()),
            Key::EmailId(id) => facts.email_id == id,
            Key::ThreadId(id) => facts.thread_id == Some(id),
            Key::Date(kind, order, day) => self.date(*kind).is_some_and(|date| match order {
                DateOrder::Before => date < *day,
                DateOrder::On => date == *day,
                DateOrder::Since => date >= *day,
            }),
            Key::Address(field, needle) => {
                facts.envelope.is_some_and(|envelope| envelope_contains(envelope, *field, needle))
            }
            Key::Subject(needle) => text(facts.envelope.and_then(|envelope| envelope.subject.as_ref()), needle),
            Key::MessageId(needle) => text(facts.envelope.and_then(|envelope| envelope.message_id.as_ref()), needle),
            Key::InReplyTo(needle) => text(facts.envelope.and_then(|envelope| envelope.in_reply_to.as_ref()), needle),
            _ => false,
        }
    }

    fn date(&self, kind: DateKind) -> Option<i64> {
        match kind {
            DateKind::Internal => Some(day_of(self.facts.internaldate)),
            DateKind::Sent => self.facts.sent_date.map(|date| date.local_day()),
            // RFC 8514 section 4.2: without a save date the internal date answers.
            DateKind::Saved => Some(day_of(self.facts.savedate.unwrap_or(self.facts.internaldate))),
        }
    }

    fn header(&mut self, name: &str, needle: &Needle) -> io::Result<bool> {
        let Some(root) = self.facts.structure.and_then(|structure| structure.root()) else { return Ok(false) };
        let header = read_range(self.body, root.header.clone(), HEADER_SECTION_BYTES_MAX)?;
        Ok(header_contains(&header, name, needle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parser::cursor::Cursor;
    use crate::imap::parser::search::search;
    use crate::imap::search::compile;
    use crate::imap::snapshot::Snapshot;
    use crate::imap::store::{Flags, Selected};
    use crate::mime::Scanner;
    use std::sync::Arc;

    const STATE: MessageState = MessageState { uid: 7, modseq: 9, flags: Flags(1 | 1 << 8) };
    const MESSAGE: &[u8] =
        b"From: Ann <ann@example.org>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Odd: yes\r\n\r\nHello World\r\n";

    fn program(text: &str) -> SearchProgram {
        let arguments = search(&mut Cursor::new(text.as_bytes())).unwrap();
        let selected = Selected {
            folder: 1,
            uidvalidity: 1,
            uidnext: 8,
            highest_modseq: 9,
            messages: Arc::new(vec![STATE]),
            keywords: Arc::new(vec!["$Junk".into()]),
            read_only: false,
            vanished: None,
        };
        compile(&arguments.key, &Snapshot::new(&selected, false))
    }

    #[test]
    fn the_snapshot_decides_what_it_can() {
        for (text, expected) in [
            ("SEEN KEYWORD $junk", Some(true)),
            ("UNSEEN SUBJECT x", Some(false)),
            ("SEEN SUBJECT x", None),
            ("OR SEEN SUBJECT x", Some(true)),
            ("NOT (OR DELETED BODY x)", None),
            ("UID 1:9 MODSEQ 9 1", Some(true)),
            ("KEYWORD unknown", Some(false)),
            ("NEW", Some(false)),
        ] {
            assert_eq!(decide(&program(text), &STATE), expected, "{text}");
        }
    }

    #[test]
    fn content_is_tested() {
        let mut scanner = Scanner::new();
        scanner.push(MESSAGE);
        let digest = scanner.finish_digest();
        let facts = MessageFacts {
            internaldate: 86_400 * 10 + 5,
            size_bytes: MESSAGE.len() as u64,
            email_id: "M1",
            envelope: Some(&digest.envelope),
            sent_date: digest.sent_date,
            structure: Some(&digest.structure),
            ..MessageFacts::default()
        };
        for (text, expected) in [
            ("FROM ANN", true),
            ("FROM bob", false),
            ("SUBJECT gr\u{fc}\u{df}e", true),
            ("HEADER X-Odd YES", true),
            ("HEADER X-None \"\"", false),
            ("BODY \"hello world\"", true),
            ("TEXT x-odd", true),
            ("BODY x-odd", false),
            ("ON 11-Jan-1970", true),
            ("BEFORE 11-Jan-1970", false),
            ("SENTSINCE 1-Jan-1970", false),
            ("YOUNGER 10", true),
            ("OLDER 10", false),
            ("LARGER 5 SMALLER 5000", true),
            ("NOT EMAILID M1", false),
            ("OR (SEEN NOT SEEN) FROM ann", true),
        ] {
            let mut charset = String::from("CHARSET UTF-8 ");
            charset.push_str(&text.replace("gr\u{fc}\u{df}e", "{7}\r\ngr\u{fc}\u{df}e"));
            let mut body = MESSAGE;
            assert_eq!(
                matches(&program(&charset), &STATE, &facts, facts.internaldate + 5, &mut body).unwrap(),
                expected,
                "{text}"
            );
        }
    }
}
