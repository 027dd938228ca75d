//! Tokens of the IMAP grammar over one complete command, literals in place (`{5}\r\nhello`). Every function leaves the
//! cursor behind what it took; after an error the position is of no use.

use std::borrow::Cow;

use crate::limits::imap::TAG_BYTES_MAX;

/// Why a command cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Answered with BAD and this text.
    Syntax(&'static str),
    /// SEARCH in a charset other than US-ASCII and UTF-8: NO \[BADCHARSET\].
    BadCharset,
}

/// Result of a parser.
pub type Parsed<T> = Result<T, ParseError>;

/// Shorthand for a syntax error.
pub fn syntax<T>(text: &'static str) -> Parsed<T> {
    Err(ParseError::Syntax(text))
}

/// A position in a command.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`: a command without its final CRLF.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Fails unless nothing is left.
    pub fn end(&self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { syntax("Unexpected extra arguments") }
    }

    /// Takes `byte` if it is next.
    pub fn skip(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Takes `byte` or fails.
    pub fn expect(&mut self, byte: u8, otherwise: &'static str) -> Parsed<()> {
        if self.skip(byte) { Ok(()) } else { syntax(otherwise) }
    }

    /// `SP`
    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "Missing argument")
    }

    /// Takes `word` if it is next, letter case aside; a prefix of a longer atom counts.
    pub fn skip_word(&mut self, word: &str) -> bool {
        let found = self.rest().get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes the longest run of bytes that `accept` likes.
    pub fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !accept(*byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn ascii_run(&mut self, accept: fn(u8) -> bool, otherwise: &'static str) -> Parsed<&'a str> {
        match std::str::from_utf8(self.take_while(accept)) {
            Ok(run) if !run.is_empty() => Ok(run),
            _ => syntax(otherwise),
        }
    }

    /// ```text
    /// tag = 1*<any ASTRING-CHAR except "+">
    /// ```
    pub fn tag(&mut self) -> Parsed<&'a str> {
        let tag = self.ascii_run(|byte| is_astring_char(byte) && byte != b'+', "Invalid tag")?;
        if tag.len() > TAG_BYTES_MAX {
            return syntax("Tag too long");
        }
        Ok(tag)
    }

    /// ```text
    /// atom = 1*ATOM-CHAR
    /// ```
    pub fn atom(&mut self) -> Parsed<&'a str> {
        self.ascii_run(is_atom_char, "Expected an atom")
    }

    /// ```text
    /// number = 1*DIGIT    ; 0 <= n < 4,294,967,296
    /// ```
    pub fn number(&mut self) -> Parsed<u32> {
        match u32::try_from(self.number64()?) {
            Ok(number) => Ok(number),
            Err(_) => syntax("Number too large"),
        }
    }

    /// ```text
    /// number64 = 1*DIGIT  ; 0 <= n <= 9,223,372,036,854,775,807
    /// ```
    pub fn number64(&mut self) -> Parsed<u64> {
        let digits = self.ascii_run(|byte| byte.is_ascii_digit(), "Expected a number")?;
        match digits.parse::<u64>() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(number),
            _ => syntax("Number too large"),
        }
    }

    /// ```text
    /// nz-number = digit-nz *DIGIT
    /// ```
    pub fn nonzero(&mut self) -> Parsed<u32> {
        match self.number()? {
            0 => syntax("Zero is not allowed here"),
            number => Ok(number),
        }
    }

    /// ```text
    /// astring = 1*ASTRING-CHAR / string
    /// ```
    pub fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            // A tilde alone begins an atom, such as a mailbox name.
            Some(b'~') if self.rest().starts_with(b"~{") => self.string(),
            _ => match self.take_while(is_astring_char) {
                [] => syntax("Expected a string"),
                run => Ok(Cow::Borrowed(run)),
            },
        }
    }

    /// [`Cursor::astring`] that must be UTF-8.
    pub fn astring_text(&mut self) -> Parsed<String> {
        utf8(self.astring()?)
    }

    /// ```text
    /// string  = quoted / literal
    /// literal8 = "~{" number64 ["+"] "}" CRLF *OCTET   ; RFC 3516
    /// ```
    pub fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            Some(b'~') => {
                self.at += 1;
                self.literal().map(Cow::Borrowed)
            }
            _ => syntax("Expected a string"),
        }
    }

    /// ```text
    /// nstring = string / nil
    /// ```
    pub fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.skip_word("NIL") {
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// ```text
    /// quoted = DQUOTE *QUOTED-CHAR DQUOTE
    /// QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials / UTF8-2 / UTF8-3 / UTF8-4
    /// ```
    /// Any byte may follow a backslash, as other servers allow.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"', "Expected a string")?;
        let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.skip(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(byte) if !matches!(byte, b'\r' | b'\n' | 0) => text.push(byte),
                        _ => return syntax("Invalid quoted string"),
                    }
                    self.at += 1;
                }
                Some(byte) if !matches!(byte, b'\r' | b'\n' | 0) => {
                    text.push(byte);
                    self.at += 1;
                }
                _ => return syntax("Missing closing quote"),
            }
        }
    }

    /// ```text
    /// literal = "{" number64 ["+"] "}" CRLF *CHAR8
    /// ```
    fn literal(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b'{', "Expected a literal")?;
        let length = self.number64()?;
        self.skip(b'+');
        self.expect(b'}', "Invalid literal")?;
        self.skip(b'\r');
        self.expect(b'\n', "Invalid literal")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self.rest().get(..length) {
            Some(octets) => {
                self.at += length;
                Ok(octets)
            }
            None => syntax("Literal is cut short"),
        }
    }
}

/// The text of `bytes`, if they are UTF-8 without NUL.
pub fn utf8(bytes: Cow<'_, [u8]>) -> Parsed<String> {
    match String::from_utf8(bytes.into_owned()) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) => syntax("NUL is not allowed"),
        Err(_) => syntax("Invalid UTF-8"),
    }
}

/// ```text
/// ATOM-CHAR = <any CHAR except atom-specials>
/// atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
/// ```
pub fn is_atom_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b']'
}

/// ```text
/// ASTRING-CHAR = ATOM-CHAR / resp-specials
/// ```
pub fn is_astring_char(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_all_kinds() {
        assert_eq!(Cursor::new(b"~ann/mail").astring().unwrap().as_ref(), b"~ann/mail");
        let mut cursor = Cursor::new(b"abc] \"a\\\"b\" {3}\r\na\r\n ~{2+}\r\n\0\x01");
        assert_eq!(cursor.astring().unwrap().as_ref(), b"abc]");
        cursor.space().unwrap();
        assert_eq!(cursor.astring().unwrap().as_ref(), b"a\"b");
        cursor.space().unwrap();
        assert_eq!(cursor.astring().unwrap().as_ref(), b"a\r\n");
        cursor.space().unwrap();
        assert_eq!(cursor.astring().unwrap().as_ref(), b"\0\x01");
        cursor.end().unwrap();
    }

    #[test]
    fn bad_strings_are_errors() {
        for bad in ["\"a", "\"a\r\"", "{5}\r\nabc", "{x}", "(", "{99999999999999999999}\r\n", ""] {
            assert!(Cursor::new(bad.as_bytes()).astring().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        assert!(Cursor::new(b"0").nonzero().is_err());
    }
}
