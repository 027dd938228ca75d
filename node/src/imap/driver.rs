//! One session: feeds the machine, does what it wants, and waits for what comes next with as little memory as possible.

use super::transport::Transport;
use crate::limits::{IMAP_IDLE_TIMEOUT, IMAP_LOGIN_TIMEOUT};
use crate::net::{Connection, SessionEnd, SessionSummary};
use crate::services::mailbox::{MailboxSession, Piece};
use crate::services::passwords::{AuthError, Passwords};
use crate::tls::Tls;
use bytes::BytesMut;
use protocols::imap::fetch::FetchPlan;
use protocols::imap::store::{Reply, Request, StoreError};
use protocols::imap::{Output, Session};
use protocols::sasl::Password;
use std::io;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// RFC 9051 section 7.1: human-readable text, with the code of RFC 5530 for what is temporary.
const STALE: &[u8] = b"* OK [UNAVAILABLE] The other nodes are out of reach: this may be out of date\r\n";

/// A session's state. Nothing in it holds a buffer while the client is silent.
pub struct Driver {
    transport: Transport,
    /// Bytes from the client that the machine has not taken yet.
    input: BytesMut,
    machine: Box<Session>,
    store: MailboxSession,
    passwords: Passwords,
    stop: CancellationToken,
    summary: SessionSummary,
}

/// Why the driver stopped doing what the machine wants.
enum Pause {
    /// The machine wants nothing more for now.
    Quiet,
    /// The handshake takes the transport apart.
    StartTls,
    /// The session is over.
    Over,
}

/// What the driver waited for.
enum Event {
    Input(usize),
    News,
    Silence,
    Stop,
}

impl Driver {
    /// A session on a fresh connection.
    pub fn new(
        connection: Connection,
        machine: Box<Session>,
        store: MailboxSession,
        passwords: Passwords,
        stop: CancellationToken,
    ) -> Self {
        Driver {
            transport: Transport::new(connection),
            input: BytesMut::new(),
            machine,
            store,
            passwords,
            stop,
            summary: SessionSummary::default(),
        }
    }

    /// Talks until the end.
    pub async fn run(mut self, tls: Tls) -> SessionSummary {
        loop {
            // Boxed: while the client is silent, only the small future of `wait` lives.
            let paused = Box::pin(self.work()).await;
            let going_on = match paused {
                Ok(Pause::Quiet) => self.wait().await,
                Ok(Pause::StartTls) => {
                    let (traffic, upgraded) = (self.transport.connection().traffic(), self.transport);
                    match Box::pin(upgraded.start_tls(&tls)).await {
                        Ok(transport) => {
                            self.transport = transport;
                            // RFC 9051 section 6.2.1: what came before the handshake was not protected by it.
                            self.input = BytesMut::new();
                            self.machine.tls_started();
                            Ok(true)
                        }
                        Err(_) => {
                            let end = SessionEnd::Refused("TLS handshake failed");
                            return SessionSummary { traffic, end, ..self.summary };
                        }
                    }
                }
                Ok(Pause::Over) => Ok(false),
                Err(error) => Err(error),
            };
            match going_on {
                Ok(true) => {}
                Ok(false) => return self.over().await,
                Err(error) => {
                    self.summary.end = broken(&error);
                    return self.over().await;
                }
            }
        }
    }

    async fn over(mut self) -> SessionSummary {
        self.transport.close().await;
        let connection = self.transport.connection();
        let commands = self.machine.commands() + self.summary.messages;
        SessionSummary { tls: connection.tls(), traffic: connection.traffic(), commands, ..self.summary }
    }

    /// Does everything the machine wants with what has arrived, and sends the answers.
    async fn work(&mut self) -> io::Result<Pause> {
        loop {
            self.transport.unpack_waiting(&mut self.input)?;
            if self.store.take_news() {
                self.machine.mailbox_changed();
            }
            self.machine.handle_input(&mut self.input);
            match self.machine.poll() {
                Some(output) => match self.carry_out(output).await? {
                    Pause::Quiet => {}
                    pause => return Ok(pause),
                },
                None if self.transport.unpack_waiting(&mut self.input)? > 0 => {}
                None => break,
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        self.transport.flush().await?;
        Ok(Pause::Quiet)
    }

    /// Waits for the client, for news or for the end; says whether the session goes on.
    async fn wait(&mut self) -> io::Result<bool> {
        let patience = if self.machine.is_authenticated() { IMAP_IDLE_TIMEOUT } else { IMAP_LOGIN_TIMEOUT };
        let event = tokio::select! {
            count = self.transport.read(&mut self.input) => Event::Input(count?),
            () = self.store.news(), if self.machine.is_idling() => Event::News,
            () = sleep_until(Instant::now() + patience) => Event::Silence,
            () = self.stop.cancelled() => Event::Stop,
        };
        match event {
            Event::Input(0) => return Ok(false),
            Event::Input(_) => {}
            Event::News => self.machine.mailbox_changed(),
            Event::Silence => {
                self.summary.end = SessionEnd::TimedOut;
                self.machine.timeout();
            }
            Event::Stop => {
                self.summary.end = SessionEnd::Stopped;
                self.machine.shutdown();
                // The token stays cancelled: it is not waited for again.
                self.stop = CancellationToken::new();
            }
        }
        Ok(true)
    }

    async fn carry_out(&mut self, output: Output) -> io::Result<Pause> {
        match output {
            Output::Write(bytes) => self.transport.write(bytes).await?,
            Output::Call(Request::Fetch(plan)) => self.fetch(plan).await?,
            Output::Call(request) => self.call(request).await?,
            Output::AppendChunk(bytes) => self.store.append_chunk(&bytes).await,
            Output::AppendEnd => self.store.append_end().await,
            Output::AppendAbort => self.store.append_abort(),
            Output::NeedSaslMaterial => self.machine.sasl_material(self.passwords.material()),
            Output::CheckPassword { username, password, .. } => self.check_password(&username, &password).await?,
            Output::NeedScram { username } => {
                let keys = self.passwords.scram_keys(&username).await;
                self.machine.scram_keys(keys.map_err(|_| StoreError::Unavailable));
            }
            Output::StartTls => return Ok(Pause::StartTls),
            Output::StartCompress => {
                self.transport.start_deflate(&mut self.input).await?;
                self.machine.compress_started();
            }
            // Whether to listen is asked of the machine before each wait.
            Output::IdleStart | Output::IdleStop => {}
            Output::Yield => tokio::task::yield_now().await,
            Output::Close => {
                if self.summary.end == SessionEnd::Closed {
                    self.summary.end = SessionEnd::Quit;
                }
                self.transport.flush().await?;
                return Ok(Pause::Over);
            }
        }
        Ok(Pause::Quiet)
    }

    async fn call(&mut self, request: Request) -> io::Result<()> {
        let username = match &request {
            Request::OpenAccount { username, .. } => Some(username.clone()),
            _ => None,
        };
        if is_slow(&request) {
            self.transport.flush().await?;
        }
        let answer = self.store.answer(request).await;
        self.tell_staleness().await?;
        match &answer {
            Ok(Reply::Done) if username.is_some() => self.summary.user = username,
            Ok(Reply::Appended { uids, .. }) => self.summary.messages += uids.len() as u64,
            _ => {}
        }
        self.machine.reply(answer);
        Ok(())
    }

    /// What is rendered goes out before more is: a slow client holds up nobody but itself.
    async fn fetch(&mut self, plan: Arc<FetchPlan>) -> io::Result<()> {
        let answer = match self.store.fetch(plan).await {
            Ok(mut run) => {
                self.tell_staleness().await?;
                while let Some(pieces) = run.next_slice().await? {
                    for piece in pieces {
                        self.send(piece).await?;
                    }
                }
                run.answer()
            }
            Err(error) => Err(error),
        };
        self.machine.reply(answer);
        Ok(())
    }

    /// Between responses, where an untagged one may always stand (RFC 9051 section 7).
    async fn tell_staleness(&mut self) -> io::Result<()> {
        if self.store.take_staleness() {
            self.transport.write(STALE.to_vec()).await?;
        }
        Ok(())
    }

    async fn send(&mut self, piece: Piece) -> io::Result<()> {
        let mut left = match piece {
            Piece::Bytes(bytes) => return self.transport.write(bytes).await,
            Piece::Body(range) => range,
        };
        while let Some((bytes, rest)) = left.next().await? {
            self.transport.write(bytes).await?;
            left = rest;
        }
        Ok(())
    }

    async fn check_password(&mut self, username: &str, password: &Password) -> io::Result<()> {
        self.transport.flush().await?;
        let verified = self.passwords.verify(username, password).await;
        self.machine.password_result(match verified {
            Ok(_) => Ok(true),
            Err(AuthError::BadCredentials) => Ok(false),
            Err(AuthError::Unavailable) => Err(StoreError::Unavailable),
        });
        Ok(())
    }
}

/// Whether the answer takes a log entry or longer, so that what was written before should not wait for it.
fn is_slow(request: &Request) -> bool {
    !matches!(request, Request::Changes { .. } | Request::Deselect { .. } | Request::AppendStart { .. })
}

fn broken(error: &io::Error) -> SessionEnd {
    match error.kind() {
        io::ErrorKind::TimedOut => SessionEnd::TimedOut,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => SessionEnd::Closed,
        _ => SessionEnd::Broken(error.to_string()),
    }
}
