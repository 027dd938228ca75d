//! The way out to one peer: a connection per lane, made when it is first needed and made again when it is lost.
//!
//! One task dials at a time; callers wait for it until their deadline. After a failure callers are told at once, without
//! dialing, until a wait has passed that doubles and is never quite the same for two nodes.

use crate::authority::{Authority, certificate_key_hash, node_name};
use crate::limits::{DIAL_ADDRESSES_MAX, DIAL_TIMEOUT, DIAL_WAIT_MAX, DIAL_WAIT_MIN};
use crate::runtime::{Instant, timeout};
use crate::transport::error::{CallError, Code, TransportError, tell};
use crate::transport::service::Lane;
use crate::transport::table::{Peer, PeerStatus};
use crate::transport::twin::{Instance, Refusals};
use crate::transport::{Shared, settings};
use futures::FutureExt;
use futures::future::select_ok;
use model::NodeId;
use parking_lot::Mutex;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What dialing needs.
pub struct Dialer {
    endpoint: Endpoint,
    control: ClientConfig,
    bulk: ClientConfig,
    instance: Instance,
    refusals: Arc<Refusals>,
}

impl Dialer {
    /// Dials from `endpoint` as the process `instance`; who turns it away is written to `refusals`.
    pub fn new(
        endpoint: Endpoint,
        authority: &Arc<Authority>,
        instance: Instance,
        refusals: Arc<Refusals>,
    ) -> Result<Self, TransportError> {
        let control = settings::client(authority, Lane::Control)?;
        Ok(Dialer { endpoint, control, bulk: settings::client(authority, Lane::Bulk)?, instance, refusals })
    }

    /// Tries where the directory says that the peer is, and `seen` at the same time.
    async fn dial(&self, node: NodeId, peer: &Peer, lane: Lane, seen: Option<SocketAddr>) -> Result<Reached, String> {
        let listed = self.dial_listed(node, peer, lane);
        match seen {
            Some(address) => {
                let seen = self.attempt(node, peer, lane, address);
                select_ok([listed.boxed(), seen.boxed()]).await.map(|(reached, _)| reached)
            }
            None => listed.await,
        }
    }

    async fn dial_listed(&self, node: NodeId, peer: &Peer, lane: Lane) -> Result<Reached, String> {
        let mut reason = format!("{} has no address", peer.address);
        for address in resolve(&peer.address).await? {
            match self.attempt(node, peer, lane, address).await {
                Ok(reached) => return Ok(reached),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    async fn attempt(&self, node: NodeId, peer: &Peer, lane: Lane, address: SocketAddr) -> Result<Reached, String> {
        match timeout(DIAL_TIMEOUT, self.connect(node, peer, lane, address)).await {
            Ok(connected) => connected.map_err(|error| format!("{address}: {error}")),
            Err(_) => Err(format!("{address} does not answer")),
        }
    }

    async fn connect(&self, node: NodeId, peer: &Peer, lane: Lane, address: SocketAddr) -> Result<Reached, String> {
        let config = match lane {
            Lane::Control => self.control.clone(),
            Lane::Bulk => self.bulk.clone(),
        };
        let connecting = self.endpoint.connect_with(config, address, &node_name(node));
        let connection = connecting.map_err(|error| error.to_string())?.await.map_err(|error| tell(&error))?;
        if peer_certificate(&connection).and_then(|certificate| certificate_key_hash(&certificate)) != Some(peer.key) {
            connection.close(Code::NotAdmitted.number(), b"the directory pins another key for this node");
            return Err(format!("node {} shows another key than the directory pins", node.0));
        }
        match self.greet(&connection).await {
            Ok(instance) => {
                self.refusals.let_in(node);
                Ok((connection, instance))
            }
            Err(reason) => {
                if let Some(end) = connection.close_reason() {
                    self.refusals.ended(node, &end);
                }
                Err(reason)
            }
        }
    }

    async fn greet(&self, connection: &Connection) -> Result<Instance, String> {
        self.instance.say(connection).await.map_err(|error| error.to_string())?;
        Instance::hear(connection).await
    }
}

/// A connection, and the process it leads to.
type Reached = (Connection, Instance);

/// Looks an address up; what to try, in order.
pub async fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host(address).await.map_err(|error| format!("{address}: {error}"))?;
    Ok(found.take(DIAL_ADDRESSES_MAX).collect())
}

/// What the other side showed in the handshake.
pub fn peer_certificate(connection: &Connection) -> Option<CertificateDer<'static>> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.first().cloned()
}

/// The lanes to one peer.
pub struct Outgoing {
    node: NodeId,
    /// The peer as the directory lists it.
    pub peer: Peer,
    /// Where its own connections come from: its cluster port, but for what rewrites addresses on the way.
    seen: Mutex<Option<SocketAddr>>,
    control: watch::Sender<State>,
    bulk: watch::Sender<State>,
}

enum State {
    /// Not connected; after failures not before a certain time.
    Idle {
        failures: u32,
        wait_until: Option<Instant>,
        reason: Option<String>,
    },
    Dialing,
    Connected {
        connection: Connection,
        instance: Instance,
        since: Instant,
    },
    /// The peer was removed.
    Closed,
}

impl State {
    fn fresh() -> Self {
        State::Idle { failures: 0, wait_until: None, reason: None }
    }
}

enum Next {
    Use(Connection),
    Dial(u32),
    Wait,
    Fail(String),
}

impl Outgoing {
    /// Not connected yet.
    pub fn new(node: NodeId, peer: Peer) -> Self {
        let (control, bulk) = (watch::Sender::new(State::fresh()), watch::Sender::new(State::fresh()));
        Outgoing { node, peer, seen: Mutex::default(), control, bulk }
    }

    /// The peer has connected from here. One that came back elsewhere is reached there before the directory can say so,
    /// which it cannot while nobody reaches the peer whose vote it needs.
    pub fn saw(&self, address: SocketAddr) {
        *self.seen.lock() = Some(address);
    }

    /// A connection that stands, as far as is known.
    pub async fn connection(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Connection, CallError> {
        let mut changes = self.lane(lane).subscribe();
        loop {
            changes.mark_unchanged();
            match self.next(lane) {
                Next::Use(connection) => return Ok(connection),
                Next::Fail(reason) => return Err(CallError::Unreachable(reason)),
                Next::Dial(failures) => self.clone().dial(shared.clone(), lane, failures),
                Next::Wait => {}
            }
            match crate::runtime::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(CallError::Unreachable(format!("node {} was not reached in time", self.node.0))),
            }
        }
    }

    /// Looks what is to be done, and takes it on when that is to dial.
    fn next(&self, lane: Lane) -> Next {
        let mut next = Next::Wait;
        self.lane(lane).send_if_modified(|state| {
            let failures = match state {
                State::Connected { connection, .. } if connection.close_reason().is_none() => {
                    next = Next::Use(connection.clone());
                    return false;
                }
                State::Connected { .. } => 0,
                State::Dialing => return false,
                State::Idle { wait_until: Some(until), reason, .. } if Instant::now() < *until => {
                    next = Next::Fail(reason.clone().unwrap_or_default());
                    return false;
                }
                State::Idle { failures, .. } => *failures,
                State::Closed => {
                    next = Next::Fail(format!("node {} is no known peer", self.node.0));
                    return false;
                }
            };
            next = Next::Dial(failures);
            *state = State::Dialing;
            true
        });
        next
    }

    fn dial(self: Arc<Self>, shared: Arc<Shared>, lane: Lane, failures: u32) {
        shared.clone().spawn(async move {
            let seen = self.seen.lock().filter(|_| failures > 0);
            let mut dialed = shared.dialer.dial(self.node, &self.peer, lane, seen).await;
            if let Ok((connection, instance)) = &dialed
                && let Err(reason) = shared.know_process(self.node, *instance).await
            {
                connection.close(Code::Twin.number(), reason.as_bytes());
                dialed = Err(reason);
            }
            self.lane(lane).send_if_modified(|state| {
                if !matches!(state, State::Dialing) {
                    if let Ok((connection, _)) = &dialed {
                        connection.close(Code::Removed.number(), b"this node is no member as it was");
                    }
                    return false;
                }
                *state = match dialed {
                    Ok((connection, instance)) => State::Connected { connection, instance, since: Instant::now() },
                    Err(reason) => {
                        if shared.complaints.is_first(&self.peer.address, &reason) {
                            tracing::warn!(node = self.node.0, "the node cannot be reached: {reason}");
                        }
                        let wait_until = Some(Instant::now() + wait_after(failures, jitter()));
                        State::Idle { failures: failures.saturating_add(1), wait_until, reason: Some(reason) }
                    }
                };
                true
            });
        });
    }

    /// Closes what stands and dials no more.
    pub fn close(&self) {
        for lane in [Lane::Control, Lane::Bulk] {
            let state = self.lane(lane).send_replace(State::Closed);
            if let State::Connected { connection, .. } = state {
                connection.close(Code::Removed.number(), b"this node is no member as it was");
            }
        }
    }

    /// The connections that were made, and which process each leads to.
    pub fn connections(&self) -> impl Iterator<Item = (Instance, Connection)> {
        [Lane::Control, Lane::Bulk].into_iter().filter_map(|lane| match &*self.lane(lane).borrow() {
            State::Connected { connection, instance, .. } => Some((*instance, connection.clone())),
            _ => None,
        })
    }

    /// How the peer stands.
    pub fn status(&self) -> PeerStatus {
        let mut status = PeerStatus {
            node: self.node,
            address: self.peer.address.clone(),
            connected: false,
            round_trip: None,
            sent_bytes: 0,
            received_bytes: 0,
            since: None,
            trouble: None,
        };
        for lane in [Lane::Control, Lane::Bulk] {
            match &*self.lane(lane).borrow() {
                State::Connected { connection, since, .. } if connection.close_reason().is_none() => {
                    let stats = connection.stats();
                    status.sent_bytes += stats.udp_tx.bytes;
                    status.received_bytes += stats.udp_rx.bytes;
                    if lane == Lane::Control {
                        status.connected = true;
                        status.round_trip = Some(connection.rtt());
                        status.since = Some(*since);
                    }
                }
                State::Connected { connection, .. } if lane == Lane::Control => {
                    status.trouble = connection.close_reason().map(|error| tell(&error));
                }
                State::Idle { reason, .. } if lane == Lane::Control => status.trouble.clone_from(reason),
                _ => {}
            }
        }
        status
    }

    fn lane(&self, lane: Lane) -> &watch::Sender<State> {
        match lane {
            Lane::Control => &self.control,
            Lane::Bulk => &self.bulk,
        }
    }
}

/// The wait after the given number of failures before this one; `jitter` from 0 to 1 spreads it over half to whole.
fn wait_after(failures: u32, jitter: f64) -> Duration {
    let longest = DIAL_WAIT_MIN.saturating_mul(1 << failures.min(16)).min(DIAL_WAIT_MAX);
    longest.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

fn jitter() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_spread() {
        assert_eq!(wait_after(0, 1.0), DIAL_WAIT_MIN);
        assert_eq!(wait_after(0, 0.0), DIAL_WAIT_MIN / 2);
        assert_eq!(wait_after(2, 1.0), DIAL_WAIT_MIN * 4);
        assert_eq!(wait_after(u32::MAX, 1.0), DIAL_WAIT_MAX);
    }
}
