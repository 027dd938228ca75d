//! One session: owns the socket and the machine, does what the machine asks, answers it, and reads when it wants input.
//! Back-pressure is that nothing is read while something is done.

use super::reception::Reception;
use super::{SmtpServices, policy};
use crate::ids;
use crate::limits::{MESSAGE_BYTES_MAX, SMTP_READ_BYTES, SMTP_WRITE_TIMEOUT};
use crate::net::{Connection, SessionContext, SessionEnd, SessionSummary, TlsInfo as Negotiated};
use crate::services::delivery::{Answers, Resolved};
use crate::services::passwords::{Account, AuthError};
use model::limits::RECIPIENTS_MAX;
use protocols::limits::smtp::SERVER_TIMEOUT;
use protocols::sasl::Password;
use protocols::smtp::header_peek::HeaderFacts;
use protocols::smtp::server::{
    AuthMaterial, CloseReason, Config, Event, Fact, NotAwaited, PasswordVerdict, ScramVerdict, Server, Service, Tls,
    Verdict,
};
use protocols::smtp::{EnhancedCode, Envelope, Mail, Recipient, Reply, TlsInfo};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// A session from greeting to close.
pub(super) struct Session {
    service: Service,
    shared: Arc<SmtpServices>,
    context: SessionContext,
    connection: Connection,
    machine: Server,
    /// Who logged in, and who is about to.
    user: Option<Account>,
    candidate: Option<Account>,
    /// Recipients of the transaction that were accepted, and what all their addresses lead to.
    recipients: Vec<Resolved>,
    targets: usize,
    reception: Option<Reception>,
    /// Why the message under way cannot be stored although it is still coming.
    failure: Option<Reply>,
    commands: u64,
    messages: u64,
}

/// What goes on after an event.
enum Next {
    Go(Box<Session>),
    End(SessionSummary),
}

impl Session {
    pub(super) fn new(
        service: Service,
        shared: Arc<SmtpServices>,
        connection: Connection,
        context: SessionContext,
    ) -> Session {
        let config = Config {
            hostname: shared.hostname.clone(),
            service,
            message_bytes_max: MESSAGE_BYTES_MAX,
            tls: connection.tls().map_or(Tls::Offered, |info| Tls::Active(told(info))),
            peer_is_loopback: connection.is_from_here(),
            auth: (service == Service::Submission)
                .then(|| AuthMaterial::new(ids::random(), shared.passwords.fake_salt_key())),
        };
        Session {
            service,
            shared,
            context,
            connection,
            machine: Server::new(config),
            user: None,
            candidate: None,
            recipients: Vec::new(),
            targets: 0,
            reception: None,
            failure: None,
            commands: 0,
            messages: 0,
        }
    }

    pub(super) async fn run(self) -> SessionSummary {
        let mut stop = Some(Box::pin(self.context.stop.clone().cancelled_owned()));
        let mut session = Box::new(self);
        let mut buffer = vec![0; SMTP_READ_BYTES];
        let (mut taken, mut filled) = (0, 0);
        loop {
            while let Some(event) = session.machine.poll() {
                match session.act(event).await {
                    Next::Go(same) => session = same,
                    Next::End(summary) => return summary,
                }
            }
            if taken < filled {
                let count = session.machine.handle_input(buffer.get(taken..filled).unwrap_or_default());
                if count == 0 {
                    return session.summary(SessionEnd::Refused("input that cannot be taken"));
                }
                taken += count;
                continue;
            }
            taken = 0;
            filled = match session.read(&mut buffer, &mut stop).await {
                Ok(filled) => filled,
                Err(error) => return session.summary(SessionEnd::Broken(error.to_string())),
            };
        }
    }

    /// Reads once; 0 when the machine was told of something else instead.
    async fn read(
        &mut self,
        buffer: &mut [u8],
        stop: &mut Option<std::pin::Pin<Box<WaitForCancellationFutureOwned>>>,
    ) -> io::Result<usize> {
        let stopped = async {
            match stop.as_mut() {
                Some(stop) => stop.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = timeout(SERVER_TIMEOUT, self.connection.read(buffer)) => match read {
                Ok(Ok(0)) => self.machine.handle_end_of_input(),
                Ok(Ok(count)) => return Ok(count),
                Ok(Err(error)) => return Err(error),
                Err(_) => self.machine.timeout(),
            },
            () = stopped => {
                *stop = None;
                self.machine.shutdown();
            }
        }
        Ok(0)
    }

    async fn act(mut self: Box<Self>, event: Event) -> Next {
        let answered = match event {
            Event::Write(bytes) => match self.write(&bytes).await {
                Ok(()) => Ok(()),
                Err(error) => return Next::End(self.summary(SessionEnd::Broken(error.to_string()))),
            },
            Event::StartTls => return self.start_tls().await,
            Event::CheckPassword { username, password } => self.check_password(&username, &password).await,
            Event::NeedScram { username } => self.scram_keys(&username).await,
            Event::CheckMail(mail) => self.check_mail(&mail),
            Event::CheckRecipient(recipient) => self.check_recipient(&recipient).await,
            Event::DataStart(envelope) => self.begin_message(*envelope).await,
            Event::DataChunk(bytes) => {
                self.store(&bytes).await;
                Ok(())
            }
            Event::HeaderEnd(facts) => {
                self.complete_header(&facts).await;
                Ok(())
            }
            Event::DataEnd { bytes } => self.end_message(bytes).await,
            Event::DataAbort(reason) => {
                if let Some(reception) = self.reception.take() {
                    let (message, session) = (reception.id(), self.context.id);
                    tracing::info!(id = %message, %session, ?reason, "message given up");
                }
                self.recipients.clear();
                Ok(())
            }
            Event::Fact(fact) => {
                self.note(fact);
                Ok(())
            }
            Event::Close(reason) => return Next::End(self.close(reason).await),
        };
        match answered {
            Ok(()) => Next::Go(self),
            Err(NotAwaited) => Next::End(self.summary(SessionEnd::Refused("an answer nobody waits for"))),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(SMTP_WRITE_TIMEOUT, self.connection.write_all(bytes)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        // Plain sockets have nothing to flush; TLS records leave here.
        self.connection.flush().await
    }

    /// The handshake takes the connection; without it there is nothing left to say or close.
    async fn start_tls(self: Box<Self>) -> Next {
        let mut session = *self;
        let traffic = session.connection.traffic();
        match session.connection.start_tls(&session.shared.tls).await {
            Ok(connection) => {
                let negotiated = connection.tls();
                session.connection = connection;
                // RFC 3207 section 4.2: what was said before is forgotten.
                (session.user, session.candidate) = (None, None);
                session.recipients.clear();
                match negotiated.map(|info| session.machine.tls_started(told(info))) {
                    Some(Ok(())) => Next::Go(Box::new(session)),
                    _ => Next::End(session.summary(SessionEnd::Refused("TLS at the wrong time"))),
                }
            }
            Err(error) => Next::End(SessionSummary {
                traffic,
                commands: session.commands,
                messages: session.messages,
                end: SessionEnd::Broken(format!("TLS handshake: {error}")),
                ..SessionSummary::default()
            }),
        }
    }

    async fn check_password(&mut self, username: &str, password: &Password) -> Result<(), NotAwaited> {
        let verdict = match self.shared.passwords.verify(username, password).await {
            Ok(account) => {
                self.candidate = Some(account);
                PasswordVerdict::Correct
            }
            Err(AuthError::BadCredentials) => PasswordVerdict::Wrong,
            Err(AuthError::Unavailable) => PasswordVerdict::Unavailable,
        };
        self.commands += 1;
        self.machine.answer_password(verdict)
    }

    async fn scram_keys(&mut self, username: &str) -> Result<(), NotAwaited> {
        let verdict = match self.shared.passwords.scram_keys(username).await {
            Ok(Some(keys)) => ScramVerdict::Keys(keys),
            Ok(None) => ScramVerdict::Unknown,
            Err(_) => ScramVerdict::Unavailable,
        };
        self.commands += 1;
        self.machine.answer_scram(verdict)
    }

    fn check_mail(&mut self, mail: &Mail) -> Result<(), NotAwaited> {
        self.recipients.clear();
        self.targets = 0;
        self.commands += 1;
        let checked = policy::check_sender(&self.shared, self.service, self.user.as_ref(), mail);
        self.machine.answer_mail(verdict(checked))
    }

    async fn check_recipient(&mut self, recipient: &Recipient) -> Result<(), NotAwaited> {
        self.commands += 1;
        let checked = policy::check_recipient(&self.shared, self.service, recipient).await.and_then(|resolved| {
            self.targets += resolved.targets.len();
            // What one entry can hold; a large alias counts with all it leads to (RFC 5321 section 4.5.3.1.10).
            if self.targets > RECIPIENTS_MAX {
                self.targets -= resolved.targets.len();
                return Err(Reply::new(452, EnhancedCode::new(4, 5, 3), "Too many recipients"));
            }
            self.recipients.push(resolved);
            Ok(())
        });
        self.machine.answer_recipient(verdict(checked))
    }

    async fn begin_message(&mut self, envelope: Envelope) -> Result<(), NotAwaited> {
        self.commands += 1;
        self.failure = None;
        let now = self.shared.clock.now();
        let recipients = std::mem::take(&mut self.recipients);
        let begun =
            Reception::begin(&self.shared, ids::operation(now), envelope, recipients, self.context.peer.ip(), now)
                .await;
        let begun = begun.map_err(|error| not_stored(&error)).map(|reception| self.reception = Some(reception));
        self.machine.answer_data_start(verdict(begun))
    }

    async fn store(&mut self, bytes: &[u8]) {
        if let Some(reception) = &mut self.reception
            && let Err(error) = reception.write(bytes).await
        {
            self.lose_message(&error);
        }
    }

    async fn complete_header(&mut self, facts: &HeaderFacts) {
        if self.service == Service::Submission
            && let Some(reception) = &mut self.reception
        {
            let now = self.shared.clock.now();
            if let Err(error) = reception.complete_header(facts, &self.shared.hostname, now).await {
                self.lose_message(&error);
            }
        }
    }

    /// The rest of the message is read, or the conversation would be out of step.
    fn lose_message(&mut self, error: &io::Error) {
        self.failure = Some(not_stored(error));
        self.reception = None;
    }

    async fn end_message(&mut self, bytes: u64) -> Result<(), NotAwaited> {
        let answers = if self.service == Service::Lmtp { Answers::Each } else { Answers::One };
        let Some(reception) = self.reception.take() else {
            let reply = self.failure.take().unwrap_or_else(|| Reply::try_later("The message is lost, send it again"));
            return self.machine.answer_data_end(vec![Verdict::Refuse(reply); RECIPIENTS_MAX]);
        };
        let id = reception.id();
        let sender = reception.envelope().mail.sender.clone();
        let message = match reception.finish(self.shared.clock.now()).await {
            Ok(message) => message,
            Err(error) => {
                return self.machine.answer_data_end(vec![Verdict::Refuse(not_stored(&error)); RECIPIENTS_MAX]);
            }
        };
        let results = self.shared.delivery.accept(&message, answers).await;
        let refused = results.iter().find_map(|result| result.as_ref().err());
        let (session, recipients) = (self.context.id, message.recipients.len());
        let from = sender.as_ref().map(ToString::to_string).unwrap_or_default();
        match refused {
            None => tracing::info!(%id, %session, from, recipients, bytes, "message accepted"),
            Some(reply) => tracing::info!(%id, %session, from, recipients, bytes, %reply, "message refused"),
        }
        self.messages += u64::from(results.iter().any(Result::is_ok));
        let accepted = |()| Verdict::AcceptWith(format!("Ok, message {id}").into());
        let verdicts = results.into_iter().map(|result| result.map_or_else(Verdict::Refuse, accepted)).collect();
        self.machine.answer_data_end(verdicts)
    }

    fn note(&mut self, fact: Fact) {
        let session = self.context.id;
        match fact {
            Fact::Authenticated { username } => {
                let candidate = self.candidate.take();
                // After SCRAM nobody has looked at the account yet.
                self.user = candidate.or_else(|| self.shared.passwords.proven(&username).ok());
            }
            Fact::AuthenticationFailed(failure) => {
                self.candidate = None;
                tracing::info!(%session, peer = %self.context.peer, ?failure, "login failed");
            }
            Fact::PlaintextDiscarded { bytes } => {
                tracing::warn!(%session, peer = %self.context.peer, bytes, "plaintext behind STARTTLS thrown away");
            }
            Fact::RecipientRefused { reply } => tracing::debug!(%session, %reply, "recipient refused"),
        }
    }

    async fn close(mut self: Box<Self>, reason: CloseReason) -> SessionSummary {
        // The peer may be gone; nothing depends on its hearing of the end.
        let _ = timeout(CLOSE_TIMEOUT, self.connection.shutdown()).await;
        self.summary(match reason {
            CloseReason::Quit => SessionEnd::Quit,
            CloseReason::EndOfInput => SessionEnd::Closed,
            CloseReason::Shutdown => SessionEnd::Stopped,
            CloseReason::Timeout => SessionEnd::TimedOut,
            CloseReason::TooManyErrors => SessionEnd::Refused("too many errors"),
            CloseReason::OutOfStep => SessionEnd::Refused("out of step"),
            CloseReason::Refused => SessionEnd::Refused("421"),
            CloseReason::TlsFailed => SessionEnd::Broken("TLS handshake".into()),
        })
    }

    fn summary(self, end: SessionEnd) -> SessionSummary {
        SessionSummary {
            user: self.user.map(|user| user.address),
            tls: self.connection.tls(),
            traffic: self.connection.traffic(),
            commands: self.commands,
            messages: self.messages,
            end,
        }
    }
}

/// How long the goodbye of TLS may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

fn verdict(checked: Result<(), Reply>) -> Verdict {
    checked.map_or_else(Verdict::Refuse, |()| Verdict::Accept)
}

fn told(info: Negotiated) -> TlsInfo {
    TlsInfo { version: info.version.to_owned(), cipher: info.cipher.to_owned() }
}

fn not_stored(error: &io::Error) -> Reply {
    tracing::error!(%error, "a message could not be staged");
    if error.kind() == io::ErrorKind::StorageFull {
        return Reply::new(452, EnhancedCode::new(4, 3, 1), "Insufficient storage, try again later");
    }
    Reply::try_later("The message cannot be stored now, try again later")
}
