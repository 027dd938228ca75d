//! Two processes that are the same node, because a data directory was copied: each process draws a number when it starts
//! and says it with every connection. A peer that is connected with one process turns another one of that node away while
//! the first still answers, and a process that is turned away is told so and must not serve.
//!
//! A process that died is told from one that lives by asking it, so that a node that was started again is let in at once.

use crate::limits::{
    TWIN_ANSWER_TIMEOUT, TWIN_LOOK_INTERVAL, TWIN_REFUSALS_MIN, TWIN_REFUSED_FOR_MIN, TWIN_REFUSED_FOR_MIN_LATER,
    TWIN_YOUNG_FOR,
};
use crate::runtime::{Instant, sleep, timeout};
use crate::transport::VERSION;
use crate::transport::error::{CallError, Code, tell};
use bytes::Bytes;
use futures::future::select_ok;
use model::NodeId;
use parking_lot::Mutex;
use quinn::{Connection, ConnectionError};
use std::collections::HashMap;
use tokio::sync::watch;

const INSTANCE_BYTES: usize = 8;

/// One process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance([u8; INSTANCE_BYTES]);

impl Instance {
    /// This process, as long as it keeps it.
    pub fn draw() -> Result<Self, String> {
        let mut drawn = [0; INSTANCE_BYTES];
        getrandom::fill(&mut drawn).map_err(|error| error.to_string())?;
        Ok(Instance(drawn))
    }

    /// Says on a stream of its own which process this is.
    pub async fn say(self, connection: &Connection) -> Result<(), CallError> {
        let mut hello = connection.open_uni().await.map_err(CallError::before_asking)?;
        let [a, b, c, d, e, f, g, h] = self.0;
        hello.write_all(&[VERSION, a, b, c, d, e, f, g, h]).await.map_err(CallError::of_write)?;
        // It fails only on a stream that has ended already.
        let _ = hello.finish();
        Ok(())
    }

    /// Hears which process the other side is.
    pub async fn hear(connection: &Connection) -> Result<Self, String> {
        let mut hello = connection.accept_uni().await.map_err(|error| tell(&error))?;
        let (mut version, mut instance) = ([0], [0; INSTANCE_BYTES]);
        hello.read_exact(&mut version).await.map_err(|error| error.to_string())?;
        if version != [VERSION] {
            return Err(format!("it speaks version {} of the transport", version[0]));
        }
        hello.read_exact(&mut instance).await.map_err(|error| error.to_string())?;
        Ok(Instance(instance))
    }
}

/// Whether the process at the other end of one of these still answers.
pub async fn is_alive(connections: &[Connection]) -> bool {
    let asked = connections.iter().map(|connection| Box::pin(answers(connection)));
    !connections.is_empty() && matches!(timeout(TWIN_ANSWER_TIMEOUT, select_ok(asked)).await, Ok(Ok(_)))
}

/// Waits for the other end to acknowledge something new, twice: what was on its way when the process died may be taken
/// for the first answer. An error when the connection has ended.
async fn answers(connection: &Connection) -> Result<(), ()> {
    for _ in 0..2 {
        let before = connection.stats().frame_rx.acks;
        connection.send_datagram(Bytes::from_static(b"?")).map_err(|_| ())?;
        while connection.stats().frame_rx.acks == before {
            if connection.close_reason().is_some() {
                return Err(());
            }
            sleep(TWIN_LOOK_INTERVAL).await;
        }
    }
    Ok(())
}

/// What a process is told that is turned away for another one.
pub fn refusal(node: NodeId) -> String {
    format!(
        "another process runs as node {} and answers: its data directory was copied, and only one of the copies may run",
        node.0
    )
}

/// Who has turned this process away for another one of this node.
pub struct Refusals {
    began: Instant,
    by: Mutex<HashMap<NodeId, Refused>>,
    displaced: watch::Sender<Option<NodeId>>,
}

struct Refused {
    first: Instant,
    times: u32,
}

impl Default for Refusals {
    fn default() -> Self {
        Refusals { began: Instant::now(), by: Mutex::default(), displaced: watch::Sender::new(None) }
    }
}

impl Refusals {
    /// A connection with `peer` was ended: counts it when that was for another process of this node.
    pub fn ended(&self, peer: NodeId, error: &ConnectionError) {
        let is_refusal =
            matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == Code::Twin.number());
        if is_refusal && self.is_final(peer) {
            self.displaced.send_if_modified(|by| by.replace(peer).is_none());
        }
    }

    /// A single refusal may be a misunderstanding. Of two processes that different peers know, the one that was started
    /// last has less patience.
    fn is_final(&self, peer: NodeId) -> bool {
        let now = Instant::now();
        let is_young = now < self.began + TWIN_YOUNG_FOR;
        let patience = if is_young { TWIN_REFUSED_FOR_MIN } else { TWIN_REFUSED_FOR_MIN_LATER };
        let mut by = self.by.lock();
        let refused = by.entry(peer).or_insert(Refused { first: now, times: 0 });
        refused.times = refused.times.saturating_add(1);
        refused.times >= TWIN_REFUSALS_MIN && now >= refused.first + patience
    }

    /// `peer` lets this process in.
    pub fn let_in(&self, peer: NodeId) {
        self.by.lock().remove(&peer);
    }

    /// Waits until a peer does not let this process in for good; that peer.
    pub async fn displaced(&self) -> NodeId {
        let mut displaced = self.displaced.subscribe();
        let peer = displaced.wait_for(Option::is_some).await.ok().and_then(|peer| *peer);
        match peer {
            Some(peer) => peer,
            // The sender is here as long as this waits.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_virtual_time;
    use quinn::ApplicationClose;
    use std::time::Duration;

    const PEER: NodeId = NodeId(1);

    /// How long it takes from the first refusal on until a process that is turned away every 100 ms gives up.
    async fn given_up_after(refusals: &Refusals) -> Duration {
        let close = ApplicationClose { error_code: Code::Twin.number(), reason: Bytes::new() };
        let began = Instant::now();
        while refusals.displaced.borrow().is_none() {
            sleep(Duration::from_millis(100)).await;
            refusals.ended(PEER, &ConnectionError::ApplicationClosed(close.clone()));
            refusals.ended(NodeId(2), &ConnectionError::TimedOut);
        }
        began.elapsed() - Duration::from_millis(100)
    }

    #[test]
    fn who_was_started_last_gives_up_first() {
        let (young, _) = on_virtual_time(async { given_up_after(&Refusals::default()).await });
        let (old, _) = on_virtual_time(async {
            let refusals = Refusals::default();
            sleep(TWIN_YOUNG_FOR).await;
            given_up_after(&refusals).await
        });
        assert_eq!((young, old), (TWIN_REFUSED_FOR_MIN, TWIN_REFUSED_FOR_MIN_LATER));
    }

    #[test]
    fn a_process_that_is_let_in_after_all_begins_anew() {
        let close = ApplicationClose { error_code: Code::Twin.number(), reason: Bytes::new() };
        let refused = ConnectionError::ApplicationClosed(close);
        on_virtual_time(async {
            let refusals = Refusals::default();
            for _ in 0..10 {
                (0..TWIN_REFUSALS_MIN).for_each(|_| refusals.ended(PEER, &refused));
                sleep(TWIN_REFUSED_FOR_MIN).await;
                refusals.let_in(PEER);
            }
            assert!(refusals.displaced.borrow().is_none());
        });
    }
}
