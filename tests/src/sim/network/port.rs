//! A machine's way into the network: what a node is given in place of the transport.

use super::dial::DIAL;
use super::{LaneState, Links, Machine, Open, address_of, machine_at};
use crate::sim::executor;
use bytes::Bytes;
use cluster::runtime::{Instant, sleep, timeout_at};
use cluster::transport::{
    CallError, Duplex, Handler, JoinError, MakeRequest, Network, Peer, PeerStatus, Port, Service, TransportError,
};
use futures::future::BoxFuture;
use model::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// The network as one machine sees it.
pub(super) struct Attached {
    pub(super) links: Arc<Links>,
    pub(super) machine: Machine,
}

impl Network for Attached {
    fn bind(
        &self,
        _address: SocketAddr,
        node: NodeId,
        key: [u8; 32],
        handler: Arc<dyn Handler>,
    ) -> Result<Arc<dyn Port>, TransportError> {
        let owner = executor::current().owner();
        let open = Open { owner, node, key, handler, peers: BTreeMap::new() };
        self.links.state.lock().ports.insert(self.machine, open);
        // Whoever still has a connection to the machine's former life is told so by its next packet.
        let machine = self.machine;
        self.links.drop_connections(|from, to| from == machine || to == machine);
        Ok(Arc::new(Bound { links: self.links.clone(), machine }))
    }

    fn ask<'a>(
        &'a self,
        address: &'a str,
        request: MakeRequest<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Bytes, JoinError>> {
        Box::pin(async move {
            let (links, from) = (&self.links, self.machine);
            let to = machine_at(address).ok_or_else(|| JoinError::Address(address.to_owned()))?;
            sleep(links.delay() + links.delay()).await;
            let is_open = links.is_open(from, to) && links.is_open(to, from);
            let handler = links.state.lock().ports.get(&to).map(|open| (open.owner, open.handler.clone()));
            let handler = handler.filter(|_| is_open);
            let Some((owner, handler)) = handler else {
                sleep(DIAL).await;
                return Err(JoinError::Unreachable(format!("{address} does not answer")));
            };
            let binding = [7; 32];
            let request = request(binding);
            let (told, answer) = tokio::sync::oneshot::channel();
            let asked = async move { drop(told.send(handler.stranger(binding, request).await)) };
            executor::current().spawn_for(owner, Box::pin(asked));
            let answered = timeout_at(deadline, answer).await;
            sleep(links.delay()).await;
            match answered {
                Ok(Ok(answer)) => answer.map_err(JoinError::Refused),
                _ => Err(JoinError::Unknown("the answer did not come".into())),
            }
        })
    }
}

/// A machine's open port.
struct Bound {
    links: Arc<Links>,
    machine: Machine,
}

impl Port for Bound {
    fn local_address(&self) -> SocketAddr {
        address_of(self.machine)
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, Peer>) {
        let before = {
            let mut state = self.links.state.lock();
            let Some(open) = state.ports.get_mut(&self.machine) else { return };
            std::mem::replace(&mut open.peers, peers.clone())
        };
        let gone = before.iter().filter(|(node, peer)| peers.get(node) != Some(peer));
        let gone: BTreeSet<Machine> = gone.filter_map(|(_, peer)| machine_at(&peer.address)).collect();
        let machine = self.machine;
        self.links.drop_connections(|from, to| {
            (from == machine && gone.contains(&to)) || (to == machine && gone.contains(&from))
        });
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let state = self.links.state.lock();
        let Some(open) = state.ports.get(&self.machine) else { return Vec::new() };
        let status = |(node, peer): (&NodeId, &Peer)| {
            let lane = machine_at(&peer.address).and_then(|to| state.lanes.get(&(self.machine, to, false)));
            let since = match lane {
                Some(LaneState::Connected { since, .. }) => Some(*since),
                _ => None,
            };
            PeerStatus {
                node: *node,
                address: peer.address.clone(),
                connected: since.is_some(),
                round_trip: None,
                sent_bytes: 0,
                received_bytes: 0,
                since,
                trouble: None,
            }
        };
        open.peers.iter().map(status).collect()
    }

    fn open(
        &self,
        node: NodeId,
        service: Service,
        first: Bytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Duplex, CallError>> {
        let to = {
            let state = self.links.state.lock();
            let peer = state.ports.get(&self.machine).and_then(|open| open.peers.get(&node));
            peer.and_then(|peer| machine_at(&peer.address))
        };
        Box::pin(async move {
            let to = to.ok_or_else(|| CallError::Unreachable(format!("node {} is no known peer", node.0)))?;
            self.links.open((self.machine, to), service, first, deadline).await
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        let machine = self.machine;
        let gone = self.links.state.lock().ports.remove(&machine);
        drop(gone);
        self.links.drop_connections(|from, to| from == machine || to == machine);
        Box::pin(std::future::ready(()))
    }
}
