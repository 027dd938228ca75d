//! Bodies of groups that have no replica here, and bodies a disk has lost: asked of the peers when they are read (I2).

use crate::calls::Calls;
use crate::exchange::{self, FetchError};
use crate::limits::BODIES_BORROWED_MAX;
use crate::runtime::Waiter;
use model::BodyHash;
use std::io;
use std::sync::{Arc, Weak};
use storage::Lender;
use tokio::sync::Semaphore;

impl Calls {
    /// From now on readers of bodies here are given what peers have.
    pub fn lend_bodies(self: &Arc<Self>) {
        let (calls, waiter) = (Arc::downgrade(self), Waiter::here());
        self.bodies.borrow_from(Box::new(Peers { calls, waiter, turns: Semaphore::new(BODIES_BORROWED_MAX) }));
    }

    /// Stages a body here from whoever has it; `false` when nobody does.
    async fn borrow_body(&self, hash: BodyHash) -> io::Result<bool> {
        let Ok(transport) = self.wire.transport() else { return Ok(false) };
        let mut peers = transport.peers();
        // One that is not connected may only be slow to say so.
        peers.sort_by_key(|peer| !peer.connected);
        let nodes = peers.into_iter().map(|peer| peer.node);
        match exchange::fetch(&transport, nodes, &self.bodies, vec![hash]).await {
            Ok(()) => Ok(true),
            Err(FetchError::Absent(_)) => Ok(false),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

struct Peers {
    /// Weak: the store outlives the cluster that uses it.
    calls: Weak<Calls>,
    waiter: Waiter,
    turns: Semaphore,
}

impl Lender for Peers {
    fn lend(&self, hash: &BodyHash) -> io::Result<bool> {
        let Some(calls) = self.calls.upgrade() else { return Ok(false) };
        let lent = self.waiter.wait(async {
            let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
            calls.borrow_body(*hash).await
        });
        lent.flatten()
    }
}
