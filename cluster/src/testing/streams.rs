//! Both ends of a stream in memory, for tests of what is said on one. Nothing is lost, late or bounded.

use crate::transport::{CallError, Duplex, FrameSink, FrameSource};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A stream: what one end sends the other receives.
pub fn streams() -> (Duplex, Duplex) {
    let ((to_second, from_first), (to_first, from_second)) = (unbounded_channel(), unbounded_channel());
    let end = |to, from| Duplex::given(Box::new(Sink(Some(to))), Box::new(Source { from, has_ended: false }));
    (end(to_second, from_second), end(to_first, from_first))
}

/// A frame, or nothing as the end.
type Item = Option<Bytes>;

struct Sink(Option<UnboundedSender<Item>>);

impl Sink {
    fn put(&self, item: Item) -> Result<(), CallError> {
        let gone = || CallError::Unreachable("the other end is gone".into());
        self.0.as_ref().and_then(|to| to.send(item).ok()).ok_or_else(gone)
    }
}

impl FrameSink for Sink {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), CallError>> {
        std::future::ready(self.put(Some(frame))).boxed()
    }

    fn finish(&mut self) -> Result<(), CallError> {
        let ended = self.put(None);
        self.0 = None;
        ended
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        match &self.0 {
            Some(to) => to.closed().boxed(),
            None => std::future::ready(()).boxed(),
        }
    }
}

struct Source {
    from: UnboundedReceiver<Item>,
    has_ended: bool,
}

impl FrameSource for Source {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, CallError>> {
        async {
            if self.has_ended {
                return Ok(None);
            }
            let item = self.from.recv().await.ok_or_else(|| CallError::Unknown("it was given up".into()))?;
            self.has_ended = item.is_none();
            Ok(item)
        }
        .boxed()
    }
}
