//! One conversation with one host: drives the client machine over a connection, streams the body, gives the results.
//! Tries nothing again and knows no other host.

use super::connection::{Connector, Stream};
use crate::limits::SEND_PIECE_BYTES;
use cluster::BodyReader;
use protocols::smtp::client::{Client, CloseReason, Config, Event, Message, Outcome, Report, Stage, TlsPolicy};
use protocols::smtp::{Mail, Recipient};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// A message for one host.
pub struct Parcel {
    /// Sender and wishes.
    pub mail: Mail,
    /// For whom; results come in this order.
    pub recipients: Vec<Recipient>,
    /// Its bytes.
    pub body: Arc<BodyReader>,
}

/// How a conversation went.
pub struct Conversation {
    /// One result per recipient.
    pub outcomes: Vec<Outcome>,
    /// Whether the host takes over reporting success (RFC 3461 section 5.2.2).
    pub offers_dsn: bool,
    /// Whether it ended before the host had said yes or no to anybody: another host, or another way, may do.
    pub broke_early: bool,
}

/// What is said to whom.
pub struct Introduction<'a> {
    /// This node's name for EHLO.
    pub hostname: &'a str,
    /// The host's name, for TLS.
    pub host: &'a str,
    /// Its address.
    pub address: SocketAddr,
    /// What to do about TLS.
    pub tls: TlsPolicy,
}

/// Talks until every recipient has a result. Recipients that were only one too many are sent again in the same session.
pub async fn converse(
    connector: &Connector,
    stream: Box<dyn Stream>,
    introduction: Introduction<'_>,
    parcel: &Parcel,
) -> Conversation {
    let client = Client::new(Config {
        hostname: introduction.hostname.to_owned(),
        lmtp: false,
        tls: introduction.tls,
        peer_is_loopback: introduction.address.ip().is_loopback(),
        credentials: None,
    });
    let outcomes = vec![None; parcel.recipients.len()];
    let waiting = (0..parcel.recipients.len()).collect();
    let link = Link { connector, stream: Some(stream), host: introduction.host };
    Talk { client, link, parcel, outcomes, waiting, asked: Vec::new(), offset: 0, offers_dsn: false }.run().await
}

/// The connection; absent when it broke or a handshake failed.
struct Link<'a> {
    connector: &'a Connector,
    stream: Option<Box<dyn Stream>>,
    host: &'a str,
}

impl Link<'_> {
    fn stream(&mut self) -> io::Result<&mut Box<dyn Stream>> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

struct Talk<'a> {
    client: Client,
    link: Link<'a>,
    parcel: &'a Parcel,
    outcomes: Vec<Option<Outcome>>,
    /// Places of recipients to send to in the next transaction.
    waiting: Vec<usize>,
    /// Places of recipients in the transaction under way.
    asked: Vec<usize>,
    offset: u64,
    offers_dsn: bool,
}

impl Talk<'_> {
    async fn run(mut self) -> Conversation {
        let mut buffer = vec![0; REPLY_READ_BYTES];
        let (mut taken, mut filled) = (0, 0);
        loop {
            while let Some(event) = self.client.poll() {
                if let Event::Close(reason) = event {
                    return self.end(reason);
                }
                if self.act(event).await.is_err() {
                    self.client.handle_end_of_input();
                }
            }
            if taken < filled {
                let count = self.client.handle_input(buffer.get(taken..filled).unwrap_or_default());
                taken += count;
                if count > 0 {
                    continue;
                }
            }
            (taken, filled) = (0, self.read(&mut buffer).await);
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let patience = self.client.timeout_after();
        let Ok(stream) = self.link.stream() else {
            self.client.handle_end_of_input();
            return 0;
        };
        match timeout(patience, stream.read(buffer)).await {
            Ok(Ok(0) | Err(_)) => self.client.handle_end_of_input(),
            Ok(Ok(count)) => return count,
            Err(_) => self.client.timeout(),
        }
        0
    }

    async fn act(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Write(bytes) => {
                let patience = self.client.timeout_after();
                let stream = self.link.stream()?;
                timeout(patience, stream.write_all(&bytes)).await.map_err(|_| io::ErrorKind::TimedOut)??;
                timeout(patience, stream.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
            }
            Event::StartTls => self.start_tls().await,
            Event::Ready => self.next_transaction(),
            Event::NeedData => self.give_data().await,
            Event::Done(outcomes) => {
                self.note(outcomes);
                Ok(())
            }
            Event::Close(_) => Ok(()),
        }
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let stream = self.link.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        match self.link.connector.start_tls(self.link.host, stream).await {
            Ok(stream) => {
                self.link.stream = Some(stream);
                self.client.tls_started().map_err(io::Error::other)
            }
            Err(error) => {
                tracing::debug!(host = self.link.host, %error, "TLS handshake failed");
                self.client.tls_failed();
                Ok(())
            }
        }
    }

    fn next_transaction(&mut self) -> io::Result<()> {
        self.offers_dsn = self.client.offers_dsn();
        if self.waiting.is_empty() {
            return self.client.quit().map_err(io::Error::other);
        }
        self.asked = std::mem::take(&mut self.waiting);
        self.offset = 0;
        let recipients = self.asked.iter().filter_map(|place| self.parcel.recipients.get(*place).cloned()).collect();
        let message = Message { mail: self.parcel.mail.clone(), recipients, bytes: self.parcel.body.len() };
        self.client.send(message).map_err(io::Error::other)
    }

    async fn give_data(&mut self) -> io::Result<()> {
        let (body, offset) = (self.parcel.body.clone(), self.offset);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; SEND_PIECE_BYTES];
            let count = body.read_at(offset, &mut piece)?;
            piece.truncate(count);
            Ok::<_, io::Error>(piece)
        });
        let given = match read.await.map_err(io::Error::other).flatten() {
            Ok(piece) if piece.is_empty() => self.client.data_end(),
            Ok(piece) => {
                self.offset += piece.len() as u64;
                self.client.data(&piece)
            }
            Err(error) => {
                tracing::error!(%error, "a body cannot be read");
                self.client.data_failed()
            }
        };
        given.map_err(io::Error::other)
    }

    /// Keeps results; recipients that were one too many wait for the next transaction, as long as each takes some.
    fn note(&mut self, outcomes: Vec<Outcome>) {
        let some_decided = outcomes.iter().any(|outcome| !outcome.is_recipient_surplus());
        for (place, outcome) in std::mem::take(&mut self.asked).into_iter().zip(outcomes) {
            if some_decided && outcome.is_recipient_surplus() {
                self.waiting.push(place);
            }
            if let Some(slot) = self.outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
    }

    fn end(self, reason: CloseReason) -> Conversation {
        let rest = match reason {
            CloseReason::Failed(outcome) => *outcome,
            CloseReason::Quit => silence(),
        };
        let outcomes: Vec<_> =
            self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| rest.clone())).collect();
        let broke_early = outcomes.iter().all(is_early);
        Conversation { outcomes, offers_dsn: self.offers_dsn, broke_early }
    }
}

/// Whether nobody was accepted or refused yet: the host, or the way to it, is what failed.
fn is_early(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused(report) | Outcome::TryLater(report) => {
            !report.from_remote || matches!(report.stage, Stage::Greeting | Stage::Hello | Stage::StartTls)
        }
        Outcome::Delivered(_) | Outcome::Unknown(_) => false,
    }
}

/// The session ended in good order without a word on a recipient; cannot happen, and must not lose mail if it does.
fn silence() -> Outcome {
    let reply = protocols::smtp::Reply::try_later("The session ended without a result");
    Outcome::TryLater(Report { stage: Stage::Hello, reply, from_remote: false })
}

/// What is read of a host's replies at a time.
const REPLY_READ_BYTES: usize = 4 * 1024;
