//! SMTP sessions with one node: mail for local accounts, and mail to elsewhere from an account with its password.

use super::outcome::{Outcome, of_broken, of_data};
use super::{Access, PASSWORD};
use crate::limits::CLIENT_SILENCE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clients::smtp::Smtp;
use std::os::unix::net::UnixStream;

/// A greeted session.
pub struct Submission {
    smtp: Smtp<UnixStream>,
}

impl Submission {
    /// A session for local mail; nothing has been changed when there is none.
    pub fn open(access: &Access, node: usize) -> Outcome<Submission> {
        Self::greet(access, node, "smtp")
    }

    /// A session of an account that may send to elsewhere.
    pub fn open_as(access: &Access, node: usize, user: &str) -> Outcome<Submission> {
        Self::greet(access, node, "submission").and_then(|mut session| {
            let secret = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
            match session.smtp.command(&format!("AUTH PLAIN {secret}")) {
                Ok(reply) if reply.code == 235 => Outcome::Ok(session),
                Ok(reply) => Outcome::Fail(format!("{} {}", reply.code, reply.text)),
                Err(error) => of_broken(&error).harmless(),
            }
        })
    }

    fn greet(access: &Access, node: usize, service: &str) -> Outcome<Submission> {
        let greeted = UnixStream::connect(access.doors.door(node, service)).and_then(|stream| {
            stream.set_read_timeout(Some(CLIENT_SILENCE))?;
            stream.set_write_timeout(Some(CLIENT_SILENCE))?;
            let mut smtp = Smtp::greeted(stream)?;
            smtp.command("EHLO client.example.net")?.expect(250)?;
            Ok(Submission { smtp })
        });
        match greeted {
            Ok(session) => Outcome::Ok(session),
            Err(error) => Outcome::Fail(format!("no session: {error}")),
        }
    }

    /// One message. Whatever happens before the final dot is a failure: nothing was accepted.
    pub fn send(&mut self, from: &str, to: &str, message: &[u8]) -> Outcome<()> {
        let lines = [(format!("MAIL FROM:<{from}>"), 250), (format!("RCPT TO:<{to}>"), 250), ("DATA".to_owned(), 354)];
        for (line, wanted) in lines {
            match self.smtp.command(&line) {
                Ok(reply) if reply.code == wanted => {}
                Ok(reply) => return Outcome::Fail(format!("{} {}", reply.code, reply.text)),
                Err(error) => return of_broken(&error).harmless(),
            }
        }
        match self.smtp.send(&[message, b"\r\n.\r\n"].concat()).and_then(|()| self.smtp.read()) {
            Ok(reply) => of_data(reply.code, &reply.text),
            Err(error) => of_broken(&error),
        }
    }
}
