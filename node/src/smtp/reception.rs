//! One message while it arrives: trace fields first, then its bytes, into one body or two (mailboxes here get a
//! Return-Path, hosts outside do not). Small bodies stay in memory; large ones are written by blocking threads, and pushed
//! to the nodes that will hold them meanwhile.

use super::SmtpServices;
use crate::limits::{STAGING_PIECE_BYTES, STAGING_PIECE_BYTES_MIN};
use crate::services::delivery::{Delivery, Message, Resolved};
use bytes::Bytes;
use cluster::{Push, StagedBody};
use model::directory::view::Target;
use model::limits::INLINE_BODY_BYTES_MAX;
use model::{BodyRef, MessageId, UnixMillis};
use protocols::smtp::Envelope;
use protocols::smtp::header_peek::HeaderFacts;
use protocols::smtp::received::{self, Received};
use protocols::smtp::submission;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A message that is arriving. Dropped it leaves nothing.
pub struct Reception {
    id: MessageId,
    envelope: Envelope,
    recipients: Vec<Resolved>,
    delivery: Delivery,
    local: Option<Copy>,
    outside: Option<Copy>,
}

impl Reception {
    /// Begins with the trace fields. `recipients` are those of the envelope, in its order.
    ///
    /// # Errors
    /// When the bodies cannot be staged.
    pub async fn begin(
        services: &SmtpServices,
        id: MessageId,
        envelope: Envelope,
        recipients: Vec<Resolved>,
        peer: IpAddr,
        now: UnixMillis,
    ) -> io::Result<Reception> {
        let is_local = |target: &Target| matches!(target, Target::Account { .. });
        let mut targets = recipients.iter().flat_map(|to| &to.targets);
        let (any_local, any_outside) = (targets.clone().any(is_local), targets.any(|target| !is_local(target)));
        let received = received_field(services, id, &envelope, peer, now);
        let mut reception = Reception {
            local: any_local.then(|| Copy::new(services)),
            outside: any_outside.then(|| Copy::new(services)),
            id,
            recipients,
            envelope,
            delivery: services.delivery.clone(),
        };
        if let Some(local) = &mut reception.local {
            // RFC 5321 section 4.4: final delivery puts the reverse path on top.
            let return_path = received::return_path(reception.envelope.mail.sender.as_ref());
            local.begin(return_path.as_bytes())?;
        }
        reception.write(received.as_bytes()).await?;
        Ok(reception)
    }

    /// Its id.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// What MAIL and RCPT said.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When they cannot be written; the message is lost then.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for copy in [&mut self.local, &mut self.outside].into_iter().flatten() {
            if copy.add(bytes)? {
                if copy.push.is_none() {
                    copy.push_to(self.delivery.push(self.id, &self.envelope.mail, &self.recipients).await).await;
                }
                copy.write_piece().await?;
            }
        }
        Ok(())
    }

    /// The end of the header section: a message of our own users gets what it lacks (RFC 6409 section 8).
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn complete_header(&mut self, facts: &HeaderFacts, hostname: &str, now: UnixMillis) -> io::Result<()> {
        let fields = submission::missing_fields(facts, seconds(now), &self.id.to_hex(), hostname);
        self.write(fields.as_bytes()).await
    }

    /// All bytes are here: the message as the delivery service takes it.
    ///
    /// # Errors
    /// When a body cannot be staged.
    pub async fn finish(mut self, accepted_at: UnixMillis) -> io::Result<Message> {
        for copy in [&mut self.local, &mut self.outside].into_iter().flatten() {
            if copy.is_large() && copy.push.is_none() {
                copy.push_to(self.delivery.push(self.id, &self.envelope.mail, &self.recipients).await).await;
            }
        }
        Ok(Message {
            id: self.id,
            accepted_at,
            mail: self.envelope.mail,
            recipients: self.recipients,
            local_body: finish(self.local).await?,
            outside_body: finish(self.outside).await?,
        })
    }
}

fn received_field(
    services: &SmtpServices,
    id: MessageId,
    envelope: &Envelope,
    peer: IpAddr,
    now: UnixMillis,
) -> String {
    let only = match envelope.recipients.as_slice() {
        [only] => Some(&only.address),
        _ => None,
    };
    received::header(&Received {
        helo: &envelope.helo,
        peer,
        peer_name: None,
        by: &services.hostname,
        transport: envelope.transport,
        tls: envelope.tls.as_ref(),
        id: &id.to_hex(),
        recipient: only,
        time: seconds(now),
    })
}

fn seconds(at: UnixMillis) -> i64 {
    i64::try_from(at / 1000).unwrap_or(i64::MAX)
}

async fn finish(copy: Option<Copy>) -> io::Result<Option<BodyRef>> {
    match copy {
        Some(copy) => copy.finish().await.map(Some),
        None => Ok(None),
    }
}

/// One body under way.
struct Copy {
    /// Where the right to a large piece is asked for, and that right.
    pieces: Arc<Semaphore>,
    large: Option<OwnedSemaphorePermit>,
    /// Absent only while a blocking thread has it, or after that thread failed.
    staged: Option<StagedBody>,
    /// Bytes of a large body that wait to be a piece worth writing.
    piece: Vec<u8>,
    /// The way to the nodes that will hold a large body, once it is known to be one.
    push: Option<Push>,
}

impl Copy {
    fn new(services: &SmtpServices) -> Copy {
        let staged = Some(services.bodies.stage());
        Copy { pieces: services.pieces.clone(), large: None, staged, piece: Vec::new(), push: None }
    }

    /// How much is gathered for one write. When many large messages come at a time each of them takes less memory.
    fn piece_bytes(&self) -> usize {
        if self.large.is_some() { STAGING_PIECE_BYTES } else { STAGING_PIECE_BYTES_MIN }
    }

    /// The first bytes: a line or two, in memory.
    fn begin(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.staged.as_mut().ok_or_else(lost)?.write(bytes)
    }

    /// Whether the body is more than what stays in memory.
    fn is_large(&self) -> bool {
        let staged = self.staged.as_ref().map_or(0, StagedBody::size);
        !self.piece.is_empty() || staged > INLINE_BODY_BYTES_MAX as u64
    }

    /// Takes bytes; says whether there is a piece to write now.
    fn add(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let staged = self.staged.as_mut().ok_or_else(lost)?;
        // Up to here the body stays in memory, so writing does not block.
        if self.piece.is_empty() && staged.size() + bytes.len() as u64 <= INLINE_BODY_BYTES_MAX as u64 {
            return staged.write(bytes).map(|()| false);
        }
        if self.piece.capacity() == 0 {
            self.large = self.large.take().or_else(|| self.pieces.clone().try_acquire_owned().ok());
            self.piece.reserve_exact(self.piece_bytes());
        }
        self.piece.extend_from_slice(bytes);
        // Room for one more chunk is left, so that the piece never grows.
        Ok(self.piece.len() + CHUNK_BYTES > self.piece_bytes())
    }

    /// From now on what comes goes there too, and what has come already.
    async fn push_to(&mut self, mut push: Push) {
        if let Some(staged) = self.staged.as_ref().filter(|_| !push.is_idle()) {
            push.write(&Bytes::copy_from_slice(staged.in_memory())).await;
        }
        self.push = Some(push);
    }

    async fn write_piece(&mut self) -> io::Result<()> {
        let piece = self.take_piece().await;
        let mut staged = self.staged.take().ok_or_else(lost)?;
        let written = tokio::task::spawn_blocking(move || {
            let result = staged.write(&piece);
            (staged, piece, result)
        });
        let (staged, piece, result) = written.await.map_err(io::Error::other)?;
        // The memory is used again when nobody is still being sent it.
        if let Ok(mut piece) = piece.try_into_mut() {
            piece.clear();
            self.piece = piece.into();
        }
        self.staged = Some(staged);
        result
    }

    /// The piece gathered, on its way to others already.
    async fn take_piece(&mut self) -> Bytes {
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        if let Some(push) = &mut self.push {
            push.write(&piece).await;
        }
        piece
    }

    async fn finish(mut self) -> io::Result<BodyRef> {
        if !self.is_large() {
            return self.staged.take().ok_or_else(lost)?.finish();
        }
        let piece = self.take_piece().await;
        let mut staged = self.staged.take().ok_or_else(lost)?;
        let finished = tokio::task::spawn_blocking(move || {
            staged.write(&piece)?;
            staged.finish()
        });
        let body = finished.await.map_err(io::Error::other)??;
        if let Some(push) = self.push.take() {
            push.finish(body.hash).await;
        }
        Ok(body)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Removing the file of a large body blocks: not here.
        if let Some(staged) = self.staged.take().filter(|staged| staged.size() > INLINE_BODY_BYTES_MAX as u64)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(staged));
        }
    }
}

/// The largest chunk the machine hands over.
const CHUNK_BYTES: usize = protocols::limits::smtp::INPUT_BYTES_MAX;

fn lost() -> io::Error {
    io::Error::other("the body was lost when a write failed")
}
