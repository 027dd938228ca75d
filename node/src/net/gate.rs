//! Whether this node takes sessions. Closing it tells those that run to go elsewhere; stopping the node does so for good.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The gate. Clones are handles of the same one.
#[derive(Clone)]
pub struct Gate {
    stop: CancellationToken,
    /// Tells the sessions that run; `None` while the gate is closed.
    sessions: Arc<Mutex<Option<CancellationToken>>>,
}

impl Gate {
    /// An open gate of a node that stops when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Gate {
        let sessions = Arc::new(Mutex::new(Some(stop.child_token())));
        Gate { stop, sessions }
    }

    /// Tells a new session when to end; `None` when there are to be no new ones.
    pub fn enter(&self) -> Option<CancellationToken> {
        self.sessions.lock().clone()
    }

    /// Whether there may be new sessions.
    pub fn is_open(&self) -> bool {
        self.sessions.lock().is_some() && !self.stop.is_cancelled()
    }

    /// Takes sessions again. Says whether it was closed.
    pub fn open(&self) -> bool {
        let mut sessions = self.sessions.lock();
        let was_closed = sessions.is_none();
        sessions.get_or_insert_with(|| self.stop.child_token());
        was_closed
    }

    /// Takes no new sessions and tells the others to end. Says whether it was open.
    pub fn close(&self) -> bool {
        let open = self.sessions.lock().take();
        open.iter().for_each(CancellationToken::cancel);
        open.is_some()
    }

    /// Cancelled when the node stops.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_tells_those_inside_and_opening_lets_others_in() {
        let gate = Gate::new(CancellationToken::new());
        let inside = gate.enter().unwrap();
        assert!(!gate.open() && gate.is_open());
        assert!(gate.close() && !gate.close() && !gate.is_open());
        assert!(inside.is_cancelled() && gate.enter().is_none());
        assert!(gate.open());
        let inside = gate.enter().unwrap();
        assert!(!inside.is_cancelled());
        gate.stop().cancel();
        assert!(inside.is_cancelled() && !gate.is_open());
    }
}
