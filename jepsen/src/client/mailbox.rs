//! An IMAP session with one node that notices when the server marks what it says as stale.

use super::outcome::{Outcome, of_broken, of_imap};
use super::{Access, PASSWORD, number_in};
use crate::limits::CLIENT_SILENCE;
use clients::imap::{Answer, Imap};
use std::os::unix::net::UnixStream;

/// What a node says before answers that may be out of date (I10).
const STALE: &str = "* OK [UNAVAILABLE]";

/// A logged-in session.
pub struct Mailbox {
    imap: Imap<UnixStream>,
    stale: bool,
}

/// A folder's counters as SELECT gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// UIDVALIDITY.
    pub validity: i64,
    /// UIDNEXT.
    pub next: i64,
    /// HIGHESTMODSEQ.
    pub modseq: i64,
}

/// A message as FETCH gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Its UID.
    pub uid: i64,
    /// The number in its subject, when that was asked for.
    pub number: Option<i64>,
    /// Its MODSEQ, when that was asked for.
    pub modseq: i64,
    /// Its flags, sorted.
    pub flags: Vec<String>,
}

impl Mailbox {
    /// Connects and logs in. Nothing has been changed when that fails.
    pub fn open(access: &Access, node: usize, user: &str) -> Outcome<Mailbox> {
        Mailbox::open_with(access, node, user, PASSWORD)
    }

    /// As [`Self::open`], with a password. Refusals are `Fail("NO …")`.
    pub fn open_with(access: &Access, node: usize, user: &str, password: &str) -> Outcome<Mailbox> {
        let greeted = UnixStream::connect(access.doors.door(node, "imap")).and_then(|stream| {
            stream.set_read_timeout(Some(CLIENT_SILENCE))?;
            stream.set_write_timeout(Some(CLIENT_SILENCE))?;
            Imap::greeted(stream)
        });
        let mut mailbox = match greeted {
            Ok(imap) => Mailbox { imap, stale: false },
            Err(error) => return Outcome::Fail(format!("no session: {error}")),
        };
        match mailbox.imap.command(&format!("LOGIN \"{user}\" \"{password}\"")) {
            Ok(answer) if answer.status.starts_with("OK") => Outcome::Ok(mailbox),
            Ok(answer) => Outcome::Fail(answer.status),
            Err(error) => of_broken(&error).harmless(),
        }
    }

    /// A command that changes something.
    pub fn change(&mut self, command: &str) -> Outcome<Answer> {
        let answer = self.imap.command(command);
        self.judge(answer)
    }

    /// A command that changes nothing: its answer, unless it was refused or marked as stale.
    pub fn read(&mut self, command: &str) -> Outcome<Answer> {
        let answer = self.imap.command(command);
        let outcome = self.judge(answer).harmless();
        // The server says it once per session: all that follows may be stale too.
        if self.stale { Outcome::Fail("marked as stale".to_owned()) } else { outcome }
    }

    /// APPEND; the UIDVALIDITY and UID it gives.
    pub fn append(&mut self, folder: &str, message: &[u8]) -> Outcome<(i64, i64)> {
        let answer = self.imap.append(folder, "", message);
        self.judge(answer).and_then(|answer| match code_numbers(&answer.status, "APPENDUID").as_slice() {
            [validity, uid] => Outcome::Ok((*validity, *uid)),
            _ => Outcome::Unknown(format!("no APPENDUID: {}", answer.status)),
        })
    }

    fn judge(&mut self, answer: std::io::Result<Answer>) -> Outcome<Answer> {
        match answer {
            Ok(answer) => {
                self.stale |= answer.untagged.iter().any(|line| line.starts_with(STALE.as_bytes()));
                let status = answer.status.clone();
                of_imap(&status, answer)
            }
            Err(error) => of_broken(&error),
        }
    }

    /// Whether the server marked something as stale: time for another session.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Selects a folder anew, which asks the shard and not the session's memory.
    pub fn select(&mut self, folder: &str, how: &str) -> Outcome<(Counters, Answer)> {
        self.read(&format!("SELECT {folder}{how}")).and_then(|answer| {
            let number = |word: &str| answer.number_after(word).and_then(|number| i64::try_from(number).ok());
            let counters = Counters {
                validity: number("[UIDVALIDITY").unwrap_or_default(),
                next: number("[UIDNEXT").unwrap_or_default(),
                modseq: number("[HIGHESTMODSEQ").unwrap_or_default(),
            };
            Outcome::Ok((counters, answer))
        })
    }

    /// Messages of the selected folder; `items` as FETCH takes them.
    pub fn fetch(&mut self, uids: &str, items: &str) -> Outcome<Vec<Seen>> {
        self.read(&format!("UID FETCH {uids} ({items})")).and_then(|answer| Outcome::Ok(seen(&answer)))
    }

    /// The numbers of all messages of a folder, one for each message.
    pub fn numbers(&mut self, folder: &str) -> Outcome<Vec<i64>> {
        self.select(folder, "").and_then(|_| self.fetch("1:*", "UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]")).and_then(
            |all| {
                // A message that is not ours cannot be there: it shows as -1.
                Outcome::Ok(all.into_iter().map(|seen| seen.number.unwrap_or(-1)).collect())
            },
        )
    }
}

/// The messages in untagged FETCH responses.
pub fn seen(answer: &Answer) -> Vec<Seen> {
    let texts = answer.untagged.iter().map(|line| String::from_utf8_lossy(line));
    texts.filter(|text| text.contains(" FETCH (")).filter_map(|text| one_seen(&text)).collect()
}

fn one_seen(text: &str) -> Option<Seen> {
    let after = |word: &str| text.split_once(word).map(|(_, rest)| rest);
    let number = |rest: &str| rest.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok();
    let mut flags: Vec<String> = after("FLAGS (")
        .and_then(|rest| rest.split_once(')'))
        .map(|(flags, _)| flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect())
        .unwrap_or_default();
    flags.sort();
    Some(Seen {
        uid: after("UID ").and_then(number)?,
        number: number_in(text),
        modseq: after("MODSEQ (").and_then(number).unwrap_or_default(),
        flags,
    })
}

/// The UIDs of a VANISHED response (RFC 7162 section 3.2.10), as ranges.
pub fn vanished(answer: &Answer) -> Vec<(i64, i64)> {
    let mut ranges = Vec::new();
    for text in answer.untagged.iter().map(|line| String::from_utf8_lossy(line)) {
        let Some(rest) = text.strip_prefix("* VANISHED ") else { continue };
        for part in rest.trim_start_matches("(EARLIER) ").split(',') {
            let (from, to) = part.split_once(':').unwrap_or((part, part));
            if let (Ok(from), Ok(to)) = (from.trim().parse(), to.trim().parse()) {
                ranges.push((from, to));
            }
        }
    }
    ranges
}

/// The numbers of a response code: `OK [APPENDUID 1 7] done` gives 1 and 7.
pub fn code_numbers(text: &str, code: &str) -> Vec<i64> {
    let Some((_, rest)) = text.split_once(&format!("[{code} ")) else { return Vec::new() };
    let inner = rest.split(']').next().unwrap_or_default();
    inner.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Answer {
        Answer { untagged: lines.iter().map(|line| line.as_bytes().to_vec()).collect(), status: "OK".to_owned() }
    }

    #[test]
    fn fetch_responses_are_read() {
        let line = "* 3 FETCH (UID 7 FLAGS (\\Seen $v1 \\Recent) MODSEQ (41) BODY[HEADER.FIELDS (SUBJECT)] {19}\r\nSubject: mj-12-\r\n\r\n)";
        let wanted = Seen { uid: 7, number: Some(12), modseq: 41, flags: vec!["$v1".into(), "\\Seen".into()] };
        let wanted = Seen {
            flags: {
                let mut flags = wanted.flags.clone();
                flags.sort();
                flags
            },
            ..wanted
        };
        assert_eq!(seen(&answer(&[line, "* 4 EXISTS"])), [wanted]);
    }

    #[test]
    fn vanished_ranges_and_codes_are_read() {
        assert_eq!(vanished(&answer(&["* VANISHED (EARLIER) 1:3,7", "* VANISHED 9"])), [(1, 3), (7, 7), (9, 9)]);
        assert_eq!(code_numbers("OK [APPENDUID 5 17] Done", "APPENDUID"), [5, 17]);
        assert_eq!(code_numbers("OK [COPYUID 5 17 3] Done", "COPYUID"), [5, 17, 3]);
    }
}
