//! One direction of a stream on the simulated network: frames with the moment of their arrival.

use super::network::{Connection, Links, Machine};
use bytes::Bytes;
use cluster::runtime::{Instant, sleep_until};
use cluster::transport::{CallError, FrameSink, FrameSource};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// See the module.
pub struct Pipe {
    links: Arc<Links>,
    from: Machine,
    to: Machine,
    connection: Arc<Connection>,
    state: Mutex<State>,
    /// Told of whatever changes; both ends wait for it.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// In the order they were sent; none arrives before the one in front of it.
    arriving: VecDeque<(Instant, Item)>,
    has_ended: bool,
    is_unwanted: bool,
}

enum Item {
    Frame(Bytes),
    /// No frame follows.
    Finish,
    /// The sender has given the stream up.
    GivenUp,
}

impl Pipe {
    /// A pipe with nothing in it.
    pub fn new(links: Arc<Links>, from: Machine, to: Machine, connection: Arc<Connection>) -> Arc<Self> {
        Arc::new(Pipe { links, from, to, connection, state: Mutex::default(), changed: Notify::new() })
    }

    /// A pipe the same way, with nothing in it.
    pub fn another(&self) -> Arc<Self> {
        Pipe::new(self.links.clone(), self.from, self.to, self.connection.clone())
    }

    fn push(&self, item: Item) {
        let arrival = self.links.arrival();
        {
            let mut state = self.state.lock();
            let last = state.arriving.back().map(|(at, _)| *at);
            state.has_ended |= !matches!(item, Item::Frame(_));
            state.arriving.push_back((last.map_or(arrival, |last| last.max(arrival)), item));
        }
        self.changed.notify_waiters();
    }
}

/// The sending end.
pub struct Sink(Arc<Pipe>);

impl Sink {
    /// The sending end of a pipe.
    pub fn new(pipe: Arc<Pipe>) -> Self {
        Sink(pipe)
    }

    /// Sends a frame.
    pub fn push(&mut self, frame: Bytes) {
        self.0.push(Item::Frame(frame));
    }

    fn check(&self) -> Result<(), CallError> {
        if self.0.connection.gone.is_cancelled() {
            return Err(CallError::Unreachable("nothing was heard for too long".into()));
        }
        let state = self.0.state.lock();
        if state.is_unwanted || state.has_ended {
            return Err(CallError::Refused("the stream was given up".into()));
        }
        Ok(())
    }
}

impl FrameSink for Sink {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), CallError>> {
        let sent = self.check().map(|()| self.push(frame));
        Box::pin(std::future::ready(sent))
    }

    fn finish(&mut self) -> Result<(), CallError> {
        self.check()?;
        self.0.push(Item::Finish);
        Ok(())
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let changed = self.0.changed.notified();
                if self.0.state.lock().is_unwanted {
                    return;
                }
                tokio::select! {
                    biased;
                    () = self.0.connection.gone.cancelled() => return,
                    () = changed => {}
                }
            }
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // A machine without power tells nobody.
        if !self.0.state.lock().has_ended && self.0.links.is_up(self.0.from) {
            self.0.push(Item::GivenUp);
        }
    }
}

/// The receiving end.
pub struct Source(Arc<Pipe>);

impl Source {
    /// The receiving end of a pipe.
    pub fn new(pipe: Arc<Pipe>) -> Self {
        Source(pipe)
    }

    /// What has arrived, or when the next may.
    fn take(&self) -> Result<Result<Option<Bytes>, CallError>, Option<Instant>> {
        let pipe = &self.0;
        let is_open = pipe.links.is_open(pipe.from, pipe.to);
        let mut state = pipe.state.lock();
        match state.arriving.front() {
            None => return Err(None),
            Some((at, _)) if *at > Instant::now() => return Err(Some(*at)),
            Some(_) if !is_open => return Err(None),
            Some((_, Item::Finish)) => return Ok(Ok(None)),
            Some((_, Item::GivenUp)) => return Ok(Err(CallError::Unknown("the stream was given up".into()))),
            Some((_, Item::Frame(_))) => {}
        }
        match state.arriving.pop_front() {
            Some((_, Item::Frame(frame))) => Ok(Ok(Some(frame))),
            _ => Err(None),
        }
    }

    async fn receive(&self) -> Result<Option<Bytes>, CallError> {
        let pipe = &self.0;
        loop {
            let (changed, opened) = (pipe.changed.notified(), pipe.links.changed());
            let next = match self.take() {
                Ok(received) => return received,
                Err(next) => next,
            };
            let arrives = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = pipe.connection.gone.cancelled() => {
                    return Err(CallError::Unknown("nothing was heard for too long".into()));
                }
                () = changed => {}
                () = arrives => {}
                () = opened => {}
            }
        }
    }
}

impl FrameSource for Source {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, CallError>> {
        Box::pin(self.receive())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.0.links.is_up(self.0.to) {
            self.0.state.lock().is_unwanted = true;
            self.0.changed.notify_waiters();
        }
    }
}
