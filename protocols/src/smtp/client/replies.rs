//! Reads replies of a host from the input buffer: whole multi-line replies out, bounded in lines and bytes.

use super::super::input::{Input, Line};
use super::super::reply::{EnhancedCode, Reply};
use crate::limits::smtp::{CLIENT_REPLY_BYTES_MAX, CLIENT_REPLY_LINE_BYTES_MAX, CLIENT_REPLY_LINES_MAX};

/// The lines of a reply that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    text: String,
    lines: usize,
}

/// The host sent something that is no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAReply;

impl ReplyReader {
    /// Takes lines until a reply is complete; `None` when more input is needed.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Reply>, NotAReply> {
        loop {
            let (length, end) = match input.line(CLIENT_REPLY_LINE_BYTES_MAX) {
                Line::Partial => return Ok(None),
                Line::TooLong => return Err(NotAReply),
                Line::Complete(length) => (length, length - 2),
                // quirk_reply_bare_lf: a reply line that ends with LF alone is taken.
                Line::BareLineEnd(length) => (length, length - 1),
            };
            let line = String::from_utf8_lossy(input.pending().get(..end).unwrap_or_default()).into_owned();
            input.consume(length);
            if let Some(reply) = self.line(&line)? {
                return Ok(Some(reply));
            }
        }
    }

    /// ```abnf
    /// Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF   ; RFC 5321 section 4.2
    /// ```
    fn line(&mut self, line: &str) -> Result<Option<Reply>, NotAReply> {
        let code = line.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let code: u16 = code.and_then(|digits| digits.parse().ok()).ok_or(NotAReply)?;
        if !(200..=599).contains(&code) {
            return Err(NotAReply);
        }
        let (last, text) = match line.get(3..4) {
            None => (true, ""),
            Some(" ") => (true, line.get(4..).unwrap_or_default()),
            Some("-") => (false, line.get(4..).unwrap_or_default()),
            Some(_) => return Err(NotAReply),
        };
        self.lines += 1;
        if self.lines > CLIENT_REPLY_LINES_MAX {
            return Err(NotAReply);
        }
        if self.text.len() + text.len() < CLIENT_REPLY_BYTES_MAX {
            if self.lines > 1 {
                self.text.push('\n');
            }
            self.text.push_str(text);
        }
        if !last {
            return Ok(None);
        }
        let ReplyReader { text, .. } = std::mem::take(self);
        Ok(Some(with_enhanced_code(code, text)))
    }
}

/// Moves an enhanced code that begins the lines out of the text (RFC 2034 section 4), when its class fits the reply.
fn with_enhanced_code(code: u16, text: String) -> Reply {
    let first_word = text.split([' ', '\n']).next().unwrap_or_default();
    let enhanced = EnhancedCode::parse(first_word).filter(|found| u16::from(found.class) == code / 100);
    let Some(enhanced) = enhanced else { return Reply::plain(code, text) };
    let prefix = enhanced.to_string();
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.strip_prefix(&prefix).map_or(line, |rest| rest.strip_prefix(' ').unwrap_or(rest)))
        .collect();
    Reply::new(code, enhanced, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<Reply>, NotAReply> {
        let mut input = Input::default();
        input.push(bytes);
        ReplyReader::default().next(&mut input)
    }

    #[test]
    fn lines_become_one_reply_with_its_enhanced_code() {
        let reply = read(b"550-5.1.1 No such\r\n550 5.1.1 user\r\n");
        assert_eq!(reply, Ok(Some(Reply::new(550, EnhancedCode::new(5, 1, 1), "No such\nuser"))));
        assert_eq!(read(b"250\r\n"), Ok(Some(Reply::plain(250, ""))));
        assert_eq!(read(b"250 5.1.1 odd\n"), Ok(Some(Reply::plain(250, "5.1.1 odd"))));
        assert_eq!(read(b"250-more\r\n"), Ok(None));
    }

    #[test]
    fn what_is_no_reply_or_over_a_bound_is_refused() {
        let many = b"250-x\r\n".repeat(CLIENT_REPLY_LINES_MAX + 1);
        let long = vec![b'2'; CLIENT_REPLY_LINE_BYTES_MAX];
        for bytes in
            [&b"hello\r\n"[..], b"25\r\n", b"2500\r\n", b"250_x\r\n", b"199 x\r\n", b"\xff\xff\xff\r\n", &many, &long]
        {
            assert_eq!(read(bytes), Err(NotAReply));
        }
    }

    #[test]
    fn text_over_its_bound_is_dropped() {
        let line = [b"250-".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        let bytes = [line.repeat(30), b"250 end\r\n".to_vec()].concat();
        let reply = read(&bytes).ok().flatten().map(|reply| reply.text().len());
        assert!(reply.is_some_and(|length| length < CLIENT_REPLY_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
