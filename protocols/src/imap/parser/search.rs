//! SEARCH: return options, charset and keys, as written.

use std::borrow::Cow;

use super::cursor::{Cursor, ParseError, Parsed, syntax, utf8};
use super::date::date;
use super::sequence::{SequenceSet, sequence_set};
use crate::imap::store::{Flags, ModSeq};
use crate::limits::imap::{SEARCH_DEPTH_MAX, SEARCH_KEYS_MAX};

/// Arguments of SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchArguments {
    /// `None`: no RETURN.
    pub returning: Option<SearchReturn>,
    /// What to find.
    pub key: SearchKey,
}

/// RETURN options (RFC 9051 section 6.4.4, RFC 5182).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`
    pub min: bool,
    /// `MAX`
    pub max: bool,
    /// `ALL`
    pub all: bool,
    /// `COUNT`
    pub count: bool,
    /// `SAVE`
    pub save: bool,
}

/// Which of the three dates a key compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateKind {
    /// INTERNALDATE.
    Internal,
    /// The Date header field.
    Sent,
    /// RFC 8514.
    Saved,
}

/// How a date compares with the given day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// `BEFORE`
    Before,
    /// `ON`
    On,
    /// `SINCE`
    Since,
}

/// One search key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// All of these.
    And(Vec<SearchKey>),
    /// Either.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Not that.
    Not(Box<SearchKey>),
    /// By sequence number.
    Sequence(SequenceSet),
    /// By UID.
    Uid(SequenceSet),
    /// System flag.
    Flag(Flags),
    /// Keyword.
    Keyword(String),
    /// `NEW`, `RECENT`: never, because nothing is recent (RFC 9051 appendix A).
    Recent,
    /// `MODSEQ n`: at least.
    ModSeq(ModSeq),
    /// `LARGER n`
    Larger(u64),
    /// `SMALLER n`
    Smaller(u64),
    /// Days since 1970.
    Date(DateKind, DateOrder, i64),
    /// `YOUNGER n` seconds (RFC 5032).
    Younger(u32),
    /// `OLDER n` seconds.
    Older(u32),
    /// Header field contains; an empty text: the field is there.
    Header(String, String),
    /// `BODY`
    Body(String),
    /// `TEXT`
    Text(String),
    /// RFC 8474.
    EmailId(String),
    /// RFC 8474.
    ThreadId(String),
    /// `SAVEDATESUPPORTED` (RFC 8514).
    SaveDateSupported,
}

/// ```text
/// search = "SEARCH" [search-return-opts] SP search-program
/// search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)
/// ```
pub fn search(cursor: &mut Cursor<'_>) -> Parsed<SearchArguments> {
    let returning = if cursor.skip_word("RETURN ") {
        let options = return_options(cursor)?;
        cursor.space()?;
        Some(options)
    } else {
        None
    };
    let mut known_charset = true;
    if cursor.skip_word("CHARSET ") {
        let charset = cursor.astring_text()?;
        let known = ["UTF-8", "US-ASCII"];
        known_charset = known.iter().any(|known| known.eq_ignore_ascii_case(&charset));
        cursor.space()?;
    }
    let mut keys = KeyParser { cursor, known_charset, count: 0 };
    let key = keys.list(0)?;
    if known_charset { Ok(SearchArguments { returning, key }) } else { Err(ParseError::BadCharset) }
}

/// ```text
/// search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
/// search-return-opt  = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE"
/// ```
fn return_options(cursor: &mut Cursor<'_>) -> Parsed<SearchReturn> {
    cursor.expect(b'(', "Expected RETURN options")?;
    let mut options = SearchReturn::default();
    if cursor.skip(b')') {
        // RFC 9051 section 6.4.4: without options ALL is assumed.
        options.all = true;
        return Ok(options);
    }
    loop {
        match cursor.atom()?.to_ascii_uppercase().as_str() {
            "MIN" => options.min = true,
            "MAX" => options.max = true,
            "ALL" => options.all = true,
            "COUNT" => options.count = true,
            "SAVE" => options.save = true,
            _ => return syntax("Unknown RETURN option"),
        }
        if cursor.skip(b')') {
            return Ok(options);
        }
        cursor.space()?;
    }
}

struct KeyParser<'a, 'b> {
    cursor: &'a mut Cursor<'b>,
    known_charset: bool,
    count: usize,
}

impl KeyParser<'_, '_> {
    /// `search-key *(SP search-key)`, up to the end or a closing parenthesis.
    fn list(&mut self, depth: usize) -> Parsed<SearchKey> {
        let mut keys = vec![self.key(depth)?];
        while self.cursor.skip(b' ') {
            keys.push(self.key(depth)?);
        }
        match keys.pop() {
            Some(only) if keys.is_empty() => Ok(only),
            Some(last) => {
                keys.push(last);
                Ok(SearchKey::And(keys))
            }
            None => syntax("Missing search key"),
        }
    }

    /// ```text
    /// search-key = "ALL" / "ANSWERED" / ... / "NOT" SP search-key / "OR" SP search-key SP search-key
    ///            / sequence-set / "(" search-key *(SP search-key) ")"
    /// ```
    fn key(&mut self, depth: usize) -> Parsed<SearchKey> {
        self.count += 1;
        if depth > SEARCH_DEPTH_MAX || self.count > SEARCH_KEYS_MAX {
            return syntax("Search program too large");
        }
        if self.cursor.skip(b'(') {
            let key = self.list(depth + 1)?;
            self.cursor.expect(b')', "Missing closing parenthesis")?;
            return Ok(key);
        }
        if matches!(self.cursor.peek(), Some(b'0'..=b'9' | b'*' | b'$')) {
            return sequence_set(self.cursor).map(SearchKey::Sequence);
        }
        let name = self.cursor.atom()?.to_ascii_uppercase();
        match name.as_str() {
            "NOT" => {
                self.cursor.space()?;
                Ok(SearchKey::Not(Box::new(self.key(depth + 1)?)))
            }
            "OR" => {
                self.cursor.space()?;
                let left = self.key(depth + 1)?;
                self.cursor.space()?;
                Ok(SearchKey::Or(Box::new(left), Box::new(self.key(depth + 1)?)))
            }
            name => self.flag_key(name),
        }
    }

    /// Keys without argument.
    fn flag_key(&mut self, name: &str) -> Parsed<SearchKey> {
        let unset = |flag| SearchKey::Not(Box::new(SearchKey::Flag(flag)));
        Ok(match name {
            "ALL" => SearchKey::All,
            "ANSWERED" => SearchKey::Flag(Flags::ANSWERED),
            "DELETED" => SearchKey::Flag(Flags::DELETED),
            "DRAFT" => SearchKey::Flag(Flags::DRAFT),
            "FLAGGED" => SearchKey::Flag(Flags::FLAGGED),
            "SEEN" => SearchKey::Flag(Flags::SEEN),
            "UNANSWERED" => unset(Flags::ANSWERED),
            "UNDELETED" => unset(Flags::DELETED),
            "UNDRAFT" => unset(Flags::DRAFT),
            "UNFLAGGED" => unset(Flags::FLAGGED),
            "UNSEEN" => unset(Flags::SEEN),
            "NEW" | "RECENT" => SearchKey::Recent,
            "OLD" => SearchKey::Not(Box::new(SearchKey::Recent)),
            "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
            name => return self.argument_key(name),
        })
    }

    /// Keys with arguments.
    fn argument_key(&mut self, name: &str) -> Parsed<SearchKey> {
        if let Some((kind, order)) = date_key(name) {
            self.cursor.space()?;
            return Ok(SearchKey::Date(kind, order, date(self.cursor)?));
        }
        if !ARGUMENT_KEYS.contains(&name) {
            return syntax("Unknown search key");
        }
        self.cursor.space()?;
        Ok(match name {
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => SearchKey::Header(name.to_owned(), self.text()?),
            "BODY" => SearchKey::Body(self.text()?),
            "TEXT" => SearchKey::Text(self.text()?),
            "HEADER" => {
                let field = self.cursor.astring_text()?;
                self.cursor.space()?;
                SearchKey::Header(field, self.text()?)
            }
            "KEYWORD" => SearchKey::Keyword(self.cursor.atom()?.to_owned()),
            "UNKEYWORD" => SearchKey::Not(Box::new(SearchKey::Keyword(self.cursor.atom()?.to_owned()))),
            "LARGER" => SearchKey::Larger(self.cursor.number64()?),
            "SMALLER" => SearchKey::Smaller(self.cursor.number64()?),
            "UID" => SearchKey::Uid(sequence_set(self.cursor)?),
            "OLDER" => SearchKey::Older(self.cursor.nonzero()?),
            "YOUNGER" => SearchKey::Younger(self.cursor.nonzero()?),
            "MODSEQ" => self.modseq()?,
            "EMAILID" => SearchKey::EmailId(self.cursor.astring_text()?),
            _ => SearchKey::ThreadId(self.cursor.astring_text()?),
        })
    }

    /// ```text
    /// search-modsequence = "MODSEQ" [SP entry-flag-name SP entry-type-req] SP mod-sequence-valzer
    /// ```
    /// Per-flag modseqs are not kept: the message's own answers for all of them (RFC 7162 section 3.1.5).
    fn modseq(&mut self) -> Parsed<SearchKey> {
        if self.cursor.peek() == Some(b'"') {
            self.cursor.string()?;
            self.cursor.space()?;
            self.cursor.atom()?;
            self.cursor.space()?;
        }
        self.cursor.number64().map(SearchKey::ModSeq)
    }

    fn text(&mut self) -> Parsed<String> {
        let bytes = self.cursor.astring()?;
        if self.known_charset { utf8(bytes) } else { utf8(Cow::Borrowed(b"")) }
    }
}

const ARGUMENT_KEYS: [&str; 18] = [
    "BCC",
    "BODY",
    "CC",
    "EMAILID",
    "FROM",
    "HEADER",
    "KEYWORD",
    "LARGER",
    "MODSEQ",
    "OLDER",
    "SMALLER",
    "SUBJECT",
    "TEXT",
    "THREADID",
    "TO",
    "UID",
    "UNKEYWORD",
    "YOUNGER",
];

fn date_key(name: &str) -> Option<(DateKind, DateOrder)> {
    let (kind, order) = match name {
        "SAVEDBEFORE" | "SAVEDON" | "SAVEDSINCE" => (DateKind::Saved, name.get(5..)?),
        "SENTBEFORE" | "SENTON" | "SENTSINCE" => (DateKind::Sent, name.get(4..)?),
        _ => (DateKind::Internal, name),
    };
    match order {
        "BEFORE" => Some((kind, DateOrder::Before)),
        "ON" => Some((kind, DateOrder::On)),
        "SINCE" => Some((kind, DateOrder::Since)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<SearchArguments> {
        let mut cursor = Cursor::new(text.as_bytes());
        let arguments = search(&mut cursor)?;
        cursor.end()?;
        Ok(arguments)
    }

    #[test]
    fn keys_nest() {
        let arguments = parse("RETURN (MIN SAVE) CHARSET utf-8 OR FROM ann (NOT SEEN 1:5) SENTON 2-Jan-1970").unwrap();
        let returning = SearchReturn { min: true, save: true, ..SearchReturn::default() };
        assert_eq!(arguments.returning, Some(returning));
        let SearchKey::And(keys) = arguments.key else { panic!() };
        assert_eq!(keys[1], SearchKey::Date(DateKind::Sent, DateOrder::On, 1));
        assert!(matches!(&keys[0], SearchKey::Or(left, right)
            if **left == SearchKey::Header("FROM".into(), "ann".into()) && matches!(&**right, SearchKey::And(both) if both.len() == 2)));
    }

    #[test]
    fn bounds_hold() {
        assert!(parse(&format!("{}ALL{}", "(".repeat(500), ")".repeat(500))).is_err());
        assert!(parse(&format!("{}ALL", "NOT ".repeat(5000))).is_err());
        assert!(parse(&vec!["ALL"; 2000].join(" ")).is_err());
        assert!(parse(&format!("{}ALL{}", "OR ALL ".repeat(100), "")).is_ok());
    }

    #[test]
    fn an_unknown_charset_is_no_syntax_error() {
        assert_eq!(parse("CHARSET KOI8-R TEXT {2}\r\n\u{414}"), Err(ParseError::BadCharset));
        assert!(matches!(parse("CHARSET KOI8-R TEXT"), Err(ParseError::Syntax(_))));
    }

    #[test]
    fn bad_programs() {
        for bad in ["", "FOO", "FROM", "OR ALL", "(ALL", "ALL)", "YOUNGER 0", "RETURN (FOO) ALL", "RETURN () "] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
