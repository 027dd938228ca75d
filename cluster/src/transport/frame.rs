//! Length-bounded frames on a stream, one direction each. Back-pressure is the stream's own: a sender waits while its
//! receiver does not read.

use crate::limits::{FRAME_BYTES_FIRST, FRAME_BYTES_MAX};
use crate::transport::error::{CallError, Code};
use crate::transport::given::{FrameSink, FrameSource};
use crate::transport::service::Service;
use bytes::{BufMut, Bytes, BytesMut};
use quinn::{RecvStream, SendStream};

/// The status of an answered call.
pub(super) const ANSWERED: u8 = 0;
/// The status of a refused call; the reason follows as UTF-8.
pub(super) const REFUSED: u8 = 1;

const LENGTH_BYTES: usize = 4;

/// Both directions of a stream.
pub struct Duplex {
    /// To the peer.
    pub sender: FrameSender,
    /// From the peer.
    pub receiver: FrameReceiver,
}

/// Sends frames. When it is dropped before [`Self::finish`], the peer is told that the stream was given up.
pub struct FrameSender {
    way: Outward,
    state: Sending,
}

enum Outward {
    Quic(SendStream),
    Given(Box<dyn FrameSink>),
}

#[derive(PartialEq)]
enum Sending {
    BetweenFrames,
    InFrame,
    Finished,
}

impl FrameSender {
    pub(super) fn new(stream: SendStream) -> Self {
        FrameSender { way: Outward::Quic(stream), state: Sending::BetweenFrames }
    }

    pub(super) fn given(sink: Box<dyn FrameSink>) -> Self {
        FrameSender { way: Outward::Given(sink), state: Sending::BetweenFrames }
    }

    /// Sends a frame, and waits while the peer does not keep up. A dropped future may leave half a frame behind: the
    /// stream is then of no use any more.
    pub async fn send(&mut self, frame: Bytes) -> Result<(), CallError> {
        self.begin(&[], frame).await
    }

    /// Sends bytes in front of the first frame with it.
    pub(super) async fn begin(&mut self, front: &[u8], frame: Bytes) -> Result<(), CallError> {
        let length = bounded(frame.len())?;
        if let Outward::Given(sink) = &mut self.way {
            return sink.send(frame).await;
        }
        let mut head = BytesMut::with_capacity(front.len() + LENGTH_BYTES);
        head.put_slice(front);
        head.put_u32(length);
        self.write(&mut [head.freeze(), frame]).await
    }

    /// Answers a call.
    pub(super) async fn answer(&mut self, answer: Result<Bytes, String>) -> Result<(), CallError> {
        let (status, bytes) = match answer {
            Ok(bytes) => (ANSWERED, bytes),
            Err(reason) => (REFUSED, Bytes::from(reason)),
        };
        let length = bounded(bytes.len() + 1)?;
        if let Outward::Given(sink) = &mut self.way {
            sink.send([&[status], &bytes[..]].concat().into()).await?;
            return self.finish();
        }
        let mut head = BytesMut::with_capacity(LENGTH_BYTES + 1);
        head.put_u32(length);
        head.put_u8(status);
        self.write(&mut [head.freeze(), bytes]).await?;
        self.finish()
    }

    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<(), CallError> {
        if self.state != Sending::BetweenFrames {
            return Err(CallError::Unreachable("the stream has ended".into()));
        }
        let Outward::Quic(stream) = &mut self.way else {
            return Err(CallError::Unreachable("this stream takes whole frames".into()));
        };
        self.state = Sending::InFrame;
        stream.write_all_chunks(chunks).await.map_err(CallError::of_write)?;
        self.state = Sending::BetweenFrames;
        Ok(())
    }

    /// Says that no frame follows. What was sent still arrives.
    pub fn finish(&mut self) -> Result<(), CallError> {
        if self.state == Sending::InFrame {
            return Err(CallError::Unreachable("the stream was given up in the middle of a frame".into()));
        }
        self.state = Sending::Finished;
        match &mut self.way {
            Outward::Quic(stream) => stream.finish().map_err(|error| CallError::Unreachable(error.to_string())),
            Outward::Given(sink) => sink.finish(),
        }
    }

    /// Lets the answers of an urgent service go first.
    pub(super) fn set_priority(&self, service: Service) {
        if let Outward::Quic(stream) = &self.way {
            // Fails only on a stream that has ended, which the next write tells.
            let _ = stream.set_priority(service.priority());
        }
    }

    /// Ends the stream without regard for what was sent, and says why.
    pub(super) fn reset(&mut self, code: Code) {
        self.state = Sending::Finished;
        if let Outward::Quic(stream) = &mut self.way {
            // Fails only on a stream that has ended already.
            let _ = stream.reset(code.number());
        }
    }

    /// Waits until the peer no longer wants what is sent, or the connection is gone. Ends at once when everything sent
    /// has arrived after [`Self::finish`].
    pub async fn stopped(&self) {
        match &self.way {
            // Why is told by the next write.
            Outward::Quic(stream) => drop(stream.stopped().await),
            Outward::Given(sink) => sink.stopped().await,
        }
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        if self.state != Sending::Finished {
            self.reset(Code::Abandoned);
        }
    }
}

fn bounded(bytes: usize) -> Result<u32, CallError> {
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= FRAME_BYTES_MAX + 1);
    length.ok_or_else(|| CallError::Refused(format!("a frame of {bytes} bytes is above the bound")))
}

enum Inward {
    Quic(RecvStream),
    Given(Box<dyn FrameSource>),
}

/// Receives frames.
pub struct FrameReceiver {
    way: Inward,
    bytes_max: usize,
    length: [u8; LENGTH_BYTES],
    length_read: usize,
    frame: BytesMut,
}

impl Inward {
    /// The next bytes, at most so many; `None` at the end.
    async fn read_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, CallError> {
        match self {
            Inward::Quic(stream) => {
                let chunk = stream.read_chunk(bytes_max, true).await.map_err(CallError::of_read)?;
                Ok(chunk.map(|chunk| chunk.bytes))
            }
            Inward::Given(_) => Err(CallError::Unknown("this stream gives whole frames".into())),
        }
    }
}

impl FrameReceiver {
    /// Frames of at most `bytes_max` bytes and a status.
    pub(super) fn new(stream: RecvStream, bytes_max: usize) -> Self {
        FrameReceiver::over(Inward::Quic(stream), bytes_max)
    }

    pub(super) fn given(source: Box<dyn FrameSource>) -> Self {
        FrameReceiver::over(Inward::Given(source), FRAME_BYTES_MAX)
    }

    fn over(way: Inward, bytes_max: usize) -> Self {
        FrameReceiver { way, bytes_max, length: [0; 4], length_read: 0, frame: BytesMut::new() }
    }

    /// The next frame; `None` when the peer has finished. Cancel-safe. An over-long or cut frame is an error, and the
    /// stream is then of no use any more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        if let Inward::Given(source) = &mut self.way {
            return source.next().await;
        }
        let Some(length) = self.length().await? else { return Ok(None) };
        if self.frame.capacity() == 0 {
            self.frame.reserve(length.min(FRAME_BYTES_FIRST));
        }
        while self.frame.len() < length {
            let left = length - self.frame.len();
            match self.way.read_chunk(left).await? {
                Some(chunk) => self.frame.put_slice(&chunk),
                None => return Err(self.bad("a frame is cut short")),
            }
        }
        self.length_read = 0;
        Ok(Some(std::mem::take(&mut self.frame).freeze()))
    }

    /// The length of the next frame in bytes; `None` when the peer has finished. Cancel-safe.
    pub(super) async fn length(&mut self) -> Result<Option<usize>, CallError> {
        while let Some(missing) = self.length.get_mut(self.length_read..).filter(|missing| !missing.is_empty()) {
            match self.way.read_chunk(missing.len()).await? {
                Some(chunk) => {
                    missing.iter_mut().zip(&chunk).for_each(|(byte, read)| *byte = *read);
                    self.length_read += chunk.len();
                }
                None if self.length_read == 0 => return Ok(None),
                None => return Err(self.bad("a frame is cut short")),
            }
        }
        let length = u32::from_be_bytes(self.length) as usize;
        if length > self.bytes_max + 1 {
            return Err(self.bad(&format!("a frame of {length} bytes is above the bound")));
        }
        Ok(Some(length))
    }

    fn bad(&mut self, reason: &str) -> CallError {
        self.stop(Code::BadFrame);
        CallError::Refused(reason.into())
    }

    /// Tells the peer that nothing more is read, and why.
    pub(super) fn stop(&mut self, code: Code) {
        if let Inward::Quic(stream) = &mut self.way {
            // Fails only on a stream that has ended already.
            let _ = stream.stop(code.number());
        }
    }
}
