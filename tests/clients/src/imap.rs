//! A blocking IMAP client over any stream. Responses come back as bytes with literals in place.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that has been greeted.
pub struct Imap<S: Read + Write = TcpStream> {
    stream: BufReader<S>,
    tag: u32,
}

/// The end of a command with everything untagged before it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Untagged responses in order, without the final CRLF.
    pub untagged: Vec<Vec<u8>>,
    /// The tagged line without its tag.
    pub status: String,
}

impl Imap<TcpStream> {
    /// Connects in plaintext and reads the greeting.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::connect_patiently(to, Duration::from_secs(120))
    }

    /// As [`Self::connect`], with how long the server may be silent.
    pub fn connect_patiently(to: SocketAddr, silence: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(silence))?;
        Self::greeted(stream)
    }
}

impl<S: Read + Write> Imap<S> {
    /// Takes a stream and reads the greeting.
    pub fn greeted(stream: S) -> io::Result<Self> {
        let mut this = Imap { stream: BufReader::with_capacity(64 * 1024, stream), tag: 0 };
        let greeting = this.response()?;
        if greeting.starts_with(b"* OK") || greeting.starts_with(b"* PREAUTH") {
            return Ok(this);
        }
        Err(io::Error::other(String::from_utf8_lossy(&greeting).into_owned()))
    }

    /// Logs in; an error when refused.
    pub fn login(&mut self, user: &str, password: &str) -> io::Result<()> {
        self.ok(&format!("LOGIN \"{user}\" \"{password}\"")).map(drop)
    }

    /// Reads one response: a line, with the literals it announces.
    pub fn response(&mut self) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            if self.stream.read_until(b'\n', &mut whole)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = whole.strip_suffix(b"\r\n").unwrap_or(&whole);
            match literal_length(line) {
                Some(length) => {
                    let start = whole.len();
                    whole.resize(start + length, 0);
                    self.stream.read_exact(&mut whole[start..])?;
                }
                None => {
                    whole.truncate(line.len());
                    return Ok(whole);
                }
            }
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a command under a new tag and returns the tag.
    pub fn start(&mut self, command: &str) -> io::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Reads until the tagged line, handing each untagged response to `visit`; returns the tagged line's rest.
    pub fn finish_with(&mut self, tag: &str, mut visit: impl FnMut(Vec<u8>)) -> io::Result<String> {
        loop {
            let response = self.response()?;
            match response.strip_prefix(tag.as_bytes()) {
                Some(rest) if rest.first() == Some(&b' ') => {
                    return Ok(String::from_utf8_lossy(&rest[1..]).into_owned());
                }
                _ => visit(response),
            }
        }
    }

    /// Runs a command to its end.
    pub fn command(&mut self, command: &str) -> io::Result<Answer> {
        let tag = self.start(command)?;
        let mut untagged = Vec::new();
        let status = self.finish_with(&tag, |response| untagged.push(response))?;
        Ok(Answer { untagged, status })
    }

    /// Runs a command that must succeed.
    pub fn ok(&mut self, command: &str) -> io::Result<Answer> {
        let answer = self.command(command)?;
        if answer.status.starts_with("OK") {
            return Ok(answer);
        }
        Err(io::Error::other(format!("{command}: {}", answer.status)))
    }

    /// APPEND of one message through a non-synchronising literal (RFC 7888).
    pub fn append(&mut self, folder: &str, flags: &str, message: &[u8]) -> io::Result<Answer> {
        let tag = self.start(&format!("APPEND {folder} ({flags}) {{{}+}}", message.len()))?;
        self.send(message)?;
        self.send(b"\r\n")?;
        let mut untagged = Vec::new();
        let status = self.finish_with(&tag, |response| untagged.push(response))?;
        Ok(Answer { untagged, status })
    }

    /// The stream beneath; nothing may be buffered.
    pub fn into_inner(self) -> S {
        self.stream.into_inner()
    }

    /// The stream beneath, for timeouts.
    pub fn get_ref(&self) -> &S {
        self.stream.get_ref()
    }
}

/// The length in a trailing `{n}` (or `~{n}`).
fn literal_length(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"}")?;
    let open = digits.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(&digits[open + 1..]).ok()?.parse().ok()
}

impl Answer {
    /// The untagged responses as text, for looking.
    pub fn text(&self) -> String {
        self.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
    }

    /// How many messages the mailbox has, where the untagged responses tell it; the last one counts.
    pub fn exists(&self) -> Option<u64> {
        let told =
            |line: &Vec<u8>| std::str::from_utf8(line).ok()?.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok();
        self.untagged.iter().rev().find_map(told)
    }

    /// The number behind a word in the untagged responses, as `MESSAGES 5` in a STATUS.
    pub fn number_after(&self, word: &str) -> Option<u64> {
        let text = self.text();
        let rest = &text[text.find(&format!("{word} "))? + word.len() + 1..];
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_is_the_one_that_holds() {
        let answer = |lines: &[&str]| Answer {
            untagged: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            status: "OK".to_owned(),
        };
        assert_eq!(answer(&["* 3 EXISTS", "* 0 RECENT", "* 4 EXISTS", "* 9 FETCH (UID 9)"]).exists(), Some(4));
        assert_eq!(answer(&["* OK [UIDNEXT 3] EXISTS"]).exists(), None);
    }
}
