//! SMTP, submission and LMTP on sockets: a driver per connection around the sans-io machine of `protocols`.
//! It decides by the directory and hands complete messages to the delivery service; it knows no shard and no queue.

mod policy;
mod reception;
mod session;

use crate::net::{Connection, Protocol, SessionContext, SessionSummary};
use crate::services::delivery::Delivery;
use crate::services::directory::Directory;
use crate::services::passwords::Passwords;
use crate::tls::Tls;
use cluster::{Bodies, Clock};
use futures::future::BoxFuture;
use protocols::smtp::server::Service;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What every SMTP session of the node shares.
pub struct SmtpServices {
    /// This host's name in greetings and trace fields.
    pub hostname: String,
    /// Where addresses lead.
    pub directory: Directory,
    /// Who may log in.
    pub passwords: Passwords,
    /// Takes complete messages.
    pub delivery: Delivery,
    /// Where large messages are staged.
    pub bodies: Arc<Bodies>,
    /// For STARTTLS.
    pub tls: Tls,
    /// Stamps messages.
    pub clock: Arc<dyn Clock>,
    /// Rights to a large piece of memory for a large message: [`crate::limits::LARGE_PIECES_MAX`] of them.
    pub pieces: Arc<Semaphore>,
    /// Says whether the disk is too full to take mail.
    pub is_full: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// One of the three services on its listeners.
pub struct Smtp {
    service: Service,
    shared: Arc<SmtpServices>,
}

impl Smtp {
    /// `service` says which rules hold: mail from other hosts, from users, or from a local agent.
    pub fn new(service: Service, shared: Arc<SmtpServices>) -> Smtp {
        Smtp { service, shared }
    }
}

impl Protocol for Smtp {
    fn name(&self) -> &'static str {
        match self.service {
            Service::Mx => "smtp",
            Service::Submission => "submission",
            Service::Lmtp => "lmtp",
        }
    }

    fn closed_line(&self) -> &'static str {
        "421 4.3.2 This server is going out of service, connect again\r\n"
    }

    fn busy_line(&self) -> &'static str {
        "421 4.3.2 Too many connections, try again later\r\n"
    }

    fn serve(&self, connection: Connection, context: SessionContext) -> BoxFuture<'static, SessionSummary> {
        let session = session::Session::new(self.service, self.shared.clone(), connection, context);
        Box::pin(session.run())
    }
}
