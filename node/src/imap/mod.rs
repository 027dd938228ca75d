//! IMAP sessions (ports 143 and 993): the driver between a connection, the IMAP machine of `protocols` and the mailbox
//! service. It decides nothing about mail: bytes go to the machine, what the machine wants is done in order.

mod deflate;
mod driver;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;
mod transport;

use crate::limits::MESSAGE_BYTES_MAX;
use crate::net::{Connection, Protocol, SessionContext, SessionSummary};
use crate::services::mailbox::{MailboxSession, Mailboxes};
use crate::services::passwords::Passwords;
use crate::tls::Tls;
use driver::Driver;
use futures::FutureExt;
use futures::future::BoxFuture;
use protocols::imap::{Config, Session};
use std::sync::Arc;

/// IMAP on one listener. Clones share everything.
#[derive(Clone)]
pub struct Imap {
    /// Shown in the greeting.
    pub hostname: Arc<str>,
    /// Who may log in.
    pub passwords: Passwords,
    /// The mailboxes.
    pub mailboxes: Mailboxes,
    /// For STARTTLS.
    pub tls: Tls,
}

impl Imap {
    fn config(&self, connection: &Connection) -> Config {
        let tls = connection.tls().is_some();
        Config {
            hostname: self.hostname.to_string(),
            tls,
            starttls: !tls,
            insecure_login: connection.is_private(),
            compress: true,
            append_bytes_max: MESSAGE_BYTES_MAX,
        }
    }
}

impl Protocol for Imap {
    fn name(&self) -> &'static str {
        "imap"
    }

    fn closed_line(&self) -> &'static str {
        "* BYE [UNAVAILABLE] This server is going out of service, connect again\r\n"
    }

    fn busy_line(&self) -> &'static str {
        "* BYE [UNAVAILABLE] Too many connections, try again later\r\n"
    }

    fn serve(&self, connection: Connection, session: SessionContext) -> BoxFuture<'static, SessionSummary> {
        let machine = Box::new(Session::new(self.config(&connection)));
        let store = MailboxSession::new(self.mailboxes.clone(), self.passwords.clone());
        Driver::new(connection, machine, store, self.passwords.clone(), session.stop).run(self.tls.clone()).boxed()
    }
}
