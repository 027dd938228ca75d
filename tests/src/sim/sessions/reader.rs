//! Reads what an IMAP server says, as far as the clients here need it: lines with literals in, responses out.

use model::mailbox::row::flag;
use model::{ModSeq, Uid, UidSet};

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `+`: the server waits for a literal.
    Continue,
    /// Something untagged.
    Untagged(Untagged),
    /// The end of a command.
    Tagged {
        /// Of the command.
        tag: String,
        /// How it ended.
        status: Status,
        /// The response code in brackets.
        code: Option<Code>,
    },
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok,
    /// It is not, or nobody knows (`[UNAVAILABLE]`).
    No,
    /// It was not understood.
    Bad,
}

/// A response code (RFC 9051 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name.
    pub name: String,
    /// What follows it.
    pub value: String,
}

/// What is told without a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untagged {
    /// `* 1 FETCH (...)` with a UID in it.
    Fetch(Fetched),
    /// `* VANISHED`: these UIDs are gone.
    Vanished(UidSet),
    /// `* 3 EXISTS`.
    Exists(usize),
    /// `* OK [UIDNEXT 4]`: one number with its name; `* STATUS`: several.
    Numbers(Vec<(String, u64)>),
    /// What follows may be out of date.
    Stale,
    /// The server closes.
    Bye,
    /// Something else.
    Other,
}

/// What FETCH tells of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: Uid,
    /// System flags, bits of [`flag`].
    pub flags: Option<u64>,
    /// Of its latest change.
    pub modseq: Option<ModSeq>,
    /// All its bytes.
    pub body: Option<Vec<u8>>,
}

/// Takes the first whole response off the front of what has come; `None` when there is none yet.
pub fn next_response(come: &mut Vec<u8>) -> Option<Response> {
    let mut end = 0;
    loop {
        let line = come.get(end..)?;
        let length = line.windows(2).position(|pair| pair == b"\r\n")?;
        let literal = literal_behind(line.get(..length)?);
        end += length + 2;
        match literal {
            Some(bytes) => end += bytes,
            None => break,
        }
    }
    let text: Vec<u8> = come.drain(..end).collect();
    Some(read(text.strip_suffix(b"\r\n").unwrap_or(&text)))
}

/// The length of the literal that a line announces with its end.
fn literal_behind(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"}")?;
    let start = digits.iter().rposition(|byte| *byte == b'{')? + 1;
    std::str::from_utf8(digits.get(start..)?).ok()?.parse().ok()
}

fn read(text: &[u8]) -> Response {
    if text.starts_with(b"+") {
        return Response::Continue;
    }
    if let Some(rest) = text.strip_prefix(b"* ") {
        return Response::Untagged(untagged(rest).unwrap_or(Untagged::Other));
    }
    let line = String::from_utf8_lossy(text);
    let (tag, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let (status, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = match status {
        "OK" => Status::Ok,
        "NO" => Status::No,
        _ => Status::Bad,
    };
    Response::Tagged { tag: tag.into(), status, code: code(rest) }
}

fn code(text: &str) -> Option<Code> {
    let (code, _) = text.strip_prefix('[')?.split_once(']')?;
    let (name, value) = code.split_once(' ').unwrap_or((code, ""));
    Some(Code { name: name.into(), value: value.into() })
}

fn untagged(text: &[u8]) -> Option<Untagged> {
    if let Some(items) = fetch_items(text) {
        return fetched(items).map(Untagged::Fetch);
    }
    let line = std::str::from_utf8(text).ok()?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "VANISHED" => set(rest.strip_prefix("(EARLIER) ").unwrap_or(rest)).map(Untagged::Vanished),
        "BYE" => Some(Untagged::Bye),
        "OK" => {
            let code = code(rest)?;
            match code.value.parse() {
                _ if code.name == "UNAVAILABLE" => Some(Untagged::Stale),
                Ok(number) => Some(Untagged::Numbers(vec![(code.name, number)])),
                Err(_) => None,
            }
        }
        "STATUS" => Some(Untagged::Numbers(status_numbers(rest))),
        count if rest == "EXISTS" => count.parse().ok().map(Untagged::Exists),
        _ => None,
    }
}

/// The numbers of `"INBOX" (MESSAGES 2 UIDNEXT 3)`.
fn status_numbers(line: &str) -> Vec<(String, u64)> {
    let items = line.split_once('(').and_then(|(_, items)| items.strip_suffix(')')).unwrap_or_default();
    let words: Vec<&str> = items.split(' ').collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?)));
    pairs.collect()
}

/// `1:3,7`
pub fn set(text: &str) -> Option<UidSet> {
    let range = |part: &str| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().map(UidSet::from_ranges)
}

/// What stands behind `n FETCH (`.
fn fetch_items(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.get(digits..).filter(|_| digits > 0)?.strip_prefix(b" FETCH (")
}

fn fetched(mut rest: &[u8]) -> Option<Fetched> {
    let mut fetched = Fetched::default();
    loop {
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
        if rest == b")" {
            return (fetched.uid > 0).then_some(fetched);
        }
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let (name, value) = (rest.get(..space)?, rest.get(space + 1..)?);
        rest = match name {
            b"UID" => {
                let (digits, rest) = split_at(value, |byte| !byte.is_ascii_digit())?;
                fetched.uid = digits.parse().ok()?;
                rest
            }
            b"MODSEQ" => {
                let (digits, rest) = split_at(value.strip_prefix(b"(")?, |byte| byte == b')')?;
                fetched.modseq = Some(digits.parse().ok()?);
                rest.get(1..)?
            }
            b"FLAGS" => {
                let (names, rest) = split_at(value.strip_prefix(b"(")?, |byte| byte == b')')?;
                fetched.flags = Some(flags(names));
                rest.get(1..)?
            }
            b"BODY[]" => {
                let line = value.windows(2).position(|pair| pair == b"\r\n")?;
                let length = literal_behind(value.get(..line)?)?;
                let literal = value.get(line + 2..)?;
                fetched.body = Some(literal.get(..length)?.to_vec());
                literal.get(length..)?
            }
            _ => return None,
        };
    }
}

fn split_at(text: &[u8], is_end: impl Fn(u8) -> bool) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| is_end(*byte))?;
    Some((std::str::from_utf8(text.get(..end)?).ok()?, text.get(end..)?))
}

/// System flags by their names; keywords are passed over.
fn flags(names: &str) -> u64 {
    let bit = |name: &str| match name {
        "\\Seen" => flag::SEEN,
        "\\Answered" => flag::ANSWERED,
        "\\Flagged" => flag::FLAGGED,
        "\\Deleted" => flag::DELETED,
        "\\Draft" => flag::DRAFT,
        _ => 0,
    };
    names.split(' ').map(bit).fold(0, |all, one| all | one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_however_their_bytes_come() {
        let said: &[u8] = b"* 2 FETCH (UID 5 FLAGS (\\Seen $x) MODSEQ (9) BODY[] {7}\r\na\r\n)\r\nb)\r\n* VANISHED (EARLIER) 1:2,4\r\n\
            * OK [UIDNEXT 6] Predicted\r\n* OK [UNAVAILABLE] old\r\nA1 OK [MODIFIED 5] x\r\n+ go\r\n";
        let body = Some(b"a\r\n)\r\nb".to_vec());
        let message = Fetched { uid: 5, flags: Some(flag::SEEN), modseq: Some(9), body };
        let modified = Code { name: "MODIFIED".into(), value: "5".into() };
        let expected = [
            Response::Untagged(Untagged::Fetch(message)),
            Response::Untagged(Untagged::Vanished(UidSet::from_ranges([(1, 2), (4, 4)]))),
            Response::Untagged(Untagged::Numbers(vec![("UIDNEXT".into(), 6)])),
            Response::Untagged(Untagged::Stale),
            Response::Tagged { tag: "A1".into(), status: Status::Ok, code: Some(modified) },
            Response::Continue,
        ];
        let (mut come, mut read) = (Vec::new(), Vec::new());
        for byte in said {
            come.push(*byte);
            read.extend(next_response(&mut come));
        }
        assert_eq!(read, expected);
        assert!(come.is_empty());
    }

    #[test]
    fn a_status_is_names_and_numbers() {
        let numbers = status_numbers("\"INBOX\" (MESSAGES 2 UIDNEXT 3)");
        assert_eq!(numbers, [("MESSAGES".to_owned(), 2), ("UIDNEXT".to_owned(), 3)]);
    }
}
