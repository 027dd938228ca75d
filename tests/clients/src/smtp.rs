//! A blocking SMTP client over any stream.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that has been greeted.
pub struct Smtp<S: Read + Write = TcpStream> {
    stream: BufReader<S>,
}

/// A complete reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// All lines, without codes.
    pub text: String,
}

impl Smtp<TcpStream> {
    /// Connects in plaintext and reads the greeting.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::connect_patiently(to, Duration::from_secs(60))
    }

    /// As [`Self::connect`], with how long the server may be silent.
    pub fn connect_patiently(to: SocketAddr, silence: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(silence))?;
        Self::greeted(stream)
    }
}

impl<S: Read + Write> Smtp<S> {
    /// Takes a stream and reads the greeting.
    pub fn greeted(stream: S) -> io::Result<Self> {
        let mut this = Smtp { stream: BufReader::new(stream) };
        this.read()?.expect(220)?;
        Ok(this)
    }

    /// Reads one reply.
    pub fn read(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| io::Error::other(format!("not a reply: {line:?}")))?;
            text.push_str(line.get(4..).unwrap_or("").trim_end());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one line and reads its reply.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.read()
    }

    /// One message in the plain order of commands; `body` is CRLF text without a line that is a single dot.
    pub fn deliver(&mut self, from: &str, to: &[&str], body: &[u8]) -> io::Result<Reply> {
        self.command(&format!("MAIL FROM:<{from}>"))?.expect(250)?;
        for recipient in to {
            self.command(&format!("RCPT TO:<{recipient}>"))?.expect(250)?;
        }
        self.command("DATA")?.expect(354)?;
        self.send(&[body, b"\r\n.\r\n"].concat())?;
        self.read()
    }

    /// The stream beneath.
    pub fn into_inner(self) -> S {
        self.stream.into_inner()
    }
}

impl Reply {
    /// An error unless the code is as expected.
    pub fn expect(self, code: u16) -> io::Result<Self> {
        if self.code == code { Ok(self) } else { Err(io::Error::other(format!("expected {code}, got {self:?}"))) }
    }
}
