//! Replies: code, enhanced code and text, printed by the server and kept as results by the client.
//! Text is made safe for the wire here and nowhere else.

use crate::limits::smtp::REPLY_TEXT_BYTES_MAX;
use std::borrow::Cow;
use std::fmt;

/// An enhanced status code (RFC 3463), such as 5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    /// 2 success, 4 try later, 5 refused.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedCode {
    /// Puts the three numbers together.
    pub const fn new(class: u8, subject: u16, detail: u16) -> EnhancedCode {
        EnhancedCode { class, subject, detail }
    }

    /// Parses `class "." subject "." detail` (RFC 3463 section 2).
    pub fn parse(text: &str) -> Option<EnhancedCode> {
        let mut numbers = text.split('.');
        let class = numbers.next()?;
        let (subject, detail) = (short_number(numbers.next()?)?, short_number(numbers.next()?)?);
        let class = match class {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        numbers.next().is_none().then_some(EnhancedCode { class, subject, detail })
    }
}

fn short_number(digits: &str) -> Option<u16> {
    let valid = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced code; `code` is three digits, lines of `text` are separated by `\n`.
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: Some(enhanced), text: text.into() }
    }

    /// A reply without an enhanced code, as greeting, EHLO and 3xx replies are (RFC 2034 section 4).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: None, text: text.into() }
    }

    /// The reply of a part that cannot decide now: 451 4.3.0.
    pub fn try_later(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply::new(451, EnhancedCode::new(4, 3, 0), text)
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code, when there is one.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text without codes, lines separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it says yes or "go on" (2xx, 3xx).
    pub fn is_positive(&self) -> bool {
        matches!(self.code, 200..=399)
    }

    /// Whether it says to try later (4xx).
    pub fn is_temporary(&self) -> bool {
        matches!(self.code, 400..=499)
    }

    /// Whether it refuses for good (5xx).
    pub fn is_permanent(&self) -> bool {
        matches!(self.code, 500..=599)
    }

    /// Appends the wire form: `code-` for all lines but the last, control characters replaced, long lines cut.
    pub fn encode(&self, output: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            output.extend_from_slice(format!("{:03}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                output.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            push_text(line, output);
            output.extend_from_slice(b"\r\n");
        }
    }
}

/// Copies a line of text up to its bound, whole characters only, no control characters.
fn push_text(line: &str, output: &mut Vec<u8>) {
    let mut room = REPLY_TEXT_BYTES_MAX;
    for character in line.chars() {
        let character = if character.is_control() { '?' } else { character };
        let Some(rest) = room.checked_sub(character.len_utf8()) else {
            return;
        };
        room = rest;
        output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:03} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(formatter, "{enhanced} ")?;
        }
        formatter.write_str(&self.text.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply) -> String {
        let mut output = Vec::new();
        reply.encode(&mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn every_line_carries_both_codes() {
        let reply = Reply::new(550, EnhancedCode::new(5, 1, 1), "No such user\nhere");
        assert_eq!(encoded(&reply), "550-5.1.1 No such user\r\n550 5.1.1 here\r\n");
    }

    #[test]
    fn text_cannot_break_out_of_its_line() {
        let reply = Reply::plain(250, "a\r\u{7}b");
        assert_eq!(encoded(&reply), "250 a??b\r\n");
        assert!(encoded(&Reply::plain(250, "é".repeat(1000))).len() < 512);
    }

    #[test]
    fn enhanced_codes_parse_strictly() {
        assert_eq!(EnhancedCode::parse("5.1.10"), Some(EnhancedCode::new(5, 1, 10)));
        for bad in ["", "5", "5.1", "3.1.1", "5.1.1.1", "5.1.1000", "5.+1.1", "5..1", "55.1.1"] {
            assert_eq!(EnhancedCode::parse(bad), None, "{bad}");
        }
    }
}
