//! Entries on their way to one replica: requests go out as they come, answers come back in the same order, and what is
//! not answered yet is bounded by bytes.

use crate::limits::UNANSWERED_BYTES_MAX;
use crate::raft::attribution::Unanswered;
use crate::raft::codec;
use crate::raft::network::failed;
use crate::raft::types::TypeConfig;
use crate::raft::wire::{Append, Appended};
use crate::runtime::JoinHandle;
use crate::transport::{CallError, Duplex, FrameReceiver, FrameSender};
use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::errors::RPCError;
use openraft::raft::AppendEntriesRequest;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The answers to `requests` in order, but for those that the next one repeats. Dropping them ends the sending.
pub fn run<S>(
    requests: S,
    duplex: Duplex,
) -> impl Stream<Item = Result<Appended, RPCError<TypeConfig>>> + Send + 'static
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    let Duplex { sender, receiver } = duplex;
    let (sent, room) = mpsc::unbounded_channel();
    let unanswered = Unanswered::default();
    let pump = Pump(crate::runtime::spawn(pump(unanswered.note(requests), sender, sent)));
    let answers = Answers { receiver, unanswered, room, _pump: pump };
    futures::stream::unfold(Some(answers), |answers| async move {
        let mut answers = answers?;
        match answers.next().await {
            Ok(Some(appended)) => {
                let more = appended.is_ok().then_some(answers);
                Some((Ok(appended), more))
            }
            Ok(None) => None,
            Err(error) => Some((Err(failed(error)), None)),
        }
    })
}

struct Answers {
    receiver: FrameReceiver,
    unanswered: Unanswered,
    /// The room each unanswered request takes; as many as there are permits, and those are bounded.
    room: mpsc::UnboundedReceiver<OwnedSemaphorePermit>,
    _pump: Pump,
}

impl Answers {
    /// The next answer to tell; `None` once every request has one and no more will come.
    async fn next(&mut self) -> Result<Option<Appended>, CallError> {
        self.unanswered.taken_in();
        while let Some(frame) = self.receiver.next().await? {
            // The request was sent before its answer came, so its room is known.
            drop(self.room.try_recv());
            let answer = codec::decode(&frame).map_err(|error| CallError::Unknown(error.to_string()))?;
            if self.unanswered.tell(&answer) {
                return Ok(Some(answer));
            }
        }
        match self.room.is_closed() && self.room.is_empty() {
            true => Ok(None),
            false => Err(CallError::Unknown("the peer ended the stream".into())),
        }
    }
}

/// Ends the sending with it.
struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn pump<S>(mut requests: S, mut sender: FrameSender, sent: mpsc::UnboundedSender<OwnedSemaphorePermit>)
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin,
{
    let room = Arc::new(Semaphore::new(UNANSWERED_BYTES_MAX));
    while let Some(request) = requests.next().await {
        let frame = Append::encode(&request);
        let bytes = u32::try_from(frame.len().min(UNANSWERED_BYTES_MAX)).unwrap_or(u32::MAX);
        let Ok(taken) = room.clone().acquire_many_owned(bytes).await else { return };
        if sent.send(taken).is_err() || sender.send(frame).await.is_err() {
            return;
        }
    }
    // Before the end is seen on the other side: then no answer is owed any more.
    drop(sent);
    // When it fails the receiving half says so.
    let _ = sender.finish();
}
