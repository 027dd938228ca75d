//! Connections and streams between machines: a dial that waits and fails as the transport's does, a call that may come twice.

use super::{Connection, LaneState, Links, Machine, Open};
use crate::sim::executor;
use crate::sim::pipe::{Pipe, Sink, Source};
use bytes::Bytes;
use cluster::runtime::{Instant, sleep, timeout_at};
use cluster::transport::{CallError, Duplex, FrameSink, Handler, Lane, Service, serve};
use futures::future::BoxFuture;
use model::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// As the transport has them: one try to dial ends, the wait after a failed one.
pub(super) const DIAL: Duration = Duration::from_secs(2);
const DIAL_AGAIN: Duration = Duration::from_millis(50);
const DIAL_WAIT_MAX: Duration = Duration::from_millis(500);

impl Links {
    /// Whether a dial goes through now.
    fn lets_in(&self, from: Machine, to: Machine) -> Result<(), &'static str> {
        let state = self.state.lock();
        if state.cut.contains(&(from, to)) || state.cut.contains(&(to, from)) {
            return Err("does not answer");
        }
        if state.still.contains_key(&to) {
            return Err("does not answer");
        }
        let (Some(asking), Some(asked)) = (state.ports.get(&from), state.ports.get(&to)) else {
            return Err("does not answer");
        };
        let knows = |open: &Open, key: &[u8; 32]| open.peers.values().any(|peer| peer.key == *key);
        if knows(asked, &asking.key) && knows(asking, &asked.key) { Ok(()) } else { Err("not let in") }
    }

    async fn dial(self: Arc<Self>, from: Machine, to: Machine, bulk: bool, failures: u32) {
        let until = Instant::now() + DIAL;
        let mut reached = Err("does not answer");
        while Instant::now() < until {
            sleep(self.delay() + self.delay() + self.delay()).await;
            reached = self.lets_in(from, to);
            if reached != Err("does not answer") {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let lane = match reached {
            Ok(()) => {
                let connection = Arc::new(Connection { gone: CancellationToken::new() });
                LaneState::Connected { connection, since: Instant::now() }
            }
            Err(_) => {
                let wait = DIAL_AGAIN.saturating_mul(1 << failures.min(8)).min(DIAL_WAIT_MAX);
                LaneState::Idle { failures: failures + 1, wait_until: Instant::now() + wait }
            }
        };
        self.state.lock().lanes.insert((from, to, bulk), lane);
        self.changed.notify_waiters();
    }

    async fn connection(
        self: &Arc<Self>,
        from: Machine,
        to: Machine,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        let bulk = lane == Lane::Bulk;
        let late = || CallError::Unreachable(format!("machine {to} was not reached in time"));
        loop {
            // Before the look, or what changes meanwhile is not heard.
            let changed = self.changed.notified();
            let dialing = {
                let mut state = self.state.lock();
                let lane = state.lanes.get(&(from, to, bulk));
                let failures = match lane {
                    Some(LaneState::Connected { connection, .. }) => return Ok(connection.clone()),
                    Some(LaneState::Idle { wait_until, .. }) if Instant::now() < *wait_until => {
                        return Err(CallError::Unreachable(format!("machine {to} does not answer")));
                    }
                    Some(LaneState::Dialing) => None,
                    Some(LaneState::Idle { failures, .. }) => Some(*failures),
                    None => Some(0),
                };
                if failures.is_some() {
                    state.lanes.insert((from, to, bulk), LaneState::Dialing);
                }
                failures
            };
            if let Some(failures) = dialing {
                cluster::runtime::spawn(self.clone().dial(from, to, bulk, failures));
            }
            timeout_at(deadline, changed).await.map_err(|_| late())?;
        }
    }

    /// Opens a stream with its first frame on its way.
    pub(super) async fn open(
        self: &Arc<Self>,
        (from, to): (Machine, Machine),
        service: Service,
        first: Bytes,
        deadline: Instant,
    ) -> Result<Duplex, CallError> {
        let connection = self.connection(from, to, service.lane(), deadline).await?;
        let there = Pipe::new(self.clone(), from, to, connection.clone());
        let back = Pipe::new(self.clone(), to, from, connection);
        let (owner, node, handler) = {
            let state = self.state.lock();
            let here = state.ports.get(&from).map(|open| open.node);
            match (here, state.ports.get(&to)) {
                (Some(node), Some(open)) => (open.owner, node, open.handler.clone()),
                // It is gone and nobody has noticed yet.
                _ => return Ok(Duplex::given(Box::new(Sink::new(there)), Box::new(Source::new(back)))),
            }
        };
        if !service.is_stream() && self.comes_twice() {
            // Nobody holds its near ends: the answer is not heard.
            let (there, back) = (there.another(), back.another());
            let mut sink = Sink::new(there.clone());
            sink.push(first.clone());
            let _ = sink.finish();
            executor::current().spawn_for(owner, answer(handler.clone(), node, service, there, back));
        }
        let mut sink = Sink::new(there.clone());
        sink.push(first);
        executor::current().spawn_for(owner, answer(handler, node, service, there, back.clone()));
        Ok(Duplex::given(Box::new(sink), Box::new(Source::new(back))))
    }
}

/// Serves what comes through one pipe and answers through the other.
fn answer(
    handler: Arc<dyn Handler>,
    from: NodeId,
    service: Service,
    there: Arc<Pipe>,
    back: Arc<Pipe>,
) -> BoxFuture<'static, ()> {
    let duplex = Duplex::given(Box::new(Sink::new(back)), Box::new(Source::new(there)));
    Box::pin(async move { serve(&*handler, from, service, duplex).await })
}
