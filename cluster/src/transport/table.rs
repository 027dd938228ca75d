//! Who the peers are, and which connections they have here. Admission and removal happen under one lock, so that no
//! connection of a removed peer is left over.

use crate::authority::{certificate_key_hash, node_name};
use crate::limits::CONNECTIONS_PER_PEER_MAX;
use crate::runtime::Instant;
use crate::transport::dial::Outgoing;
use crate::transport::error::Code;
use crate::transport::twin::Instance;
use model::NodeId;
use quinn::Connection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A node to talk to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// `host:port` of its cluster port.
    pub address: String,
    /// SHA-256 of its node key's SubjectPublicKeyInfo.
    pub key: [u8; 32],
}

/// How a peer stands, as seen from here.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Which.
    pub node: NodeId,
    /// Where it is.
    pub address: String,
    /// Whether this node's control lane to it stands.
    pub connected: bool,
    /// The measured round trip of the control lane.
    pub round_trip: Option<Duration>,
    /// UDP payload bytes sent on the connections that stand now, theirs included.
    pub sent_bytes: u64,
    /// UDP payload bytes received on the same.
    pub received_bytes: u64,
    /// Since when the control lane stands.
    pub since: Option<Instant>,
    /// Why it does not, when that is known.
    pub trouble: Option<String>,
}

/// Peers and their connections.
#[derive(Default)]
pub struct Table {
    peers: BTreeMap<NodeId, Entry>,
}

struct Entry {
    outgoing: Arc<Outgoing>,
    incoming: Vec<(Instance, Connection)>,
}

/// What is to be done with a connection whose certificate is that of a peer.
pub enum Admission {
    /// It was let in.
    Member(NodeId),
    /// Another process of that node has these, and may be alive.
    Rivals(NodeId, Vec<Connection>),
}

impl Table {
    /// Replaces the peers; closes the connections of those that are gone or are not what they were.
    pub fn set(&mut self, peers: BTreeMap<NodeId, Peer>) {
        self.peers.retain(|node, entry| {
            let is_same = peers.get(node) == Some(&entry.outgoing.peer);
            if !is_same {
                entry.close(Code::Removed, b"this node is no member as it was");
            }
            is_same
        });
        for (node, peer) in peers {
            let fresh = || Entry { outgoing: Arc::new(Outgoing::new(node, peer)), incoming: Vec::new() };
            self.peers.entry(node).or_insert_with(fresh);
        }
    }

    /// The way to a peer.
    pub fn outgoing(&self, node: NodeId) -> Option<Arc<Outgoing>> {
        self.peers.get(&node).map(|entry| entry.outgoing.clone())
    }

    /// Lets a connection of a process in whose handshake proved the key of `certificate`, or says why not.
    pub fn admit(
        &mut self,
        certificate: &CertificateDer<'_>,
        connection: &Connection,
        instance: Instance,
    ) -> Result<Admission, String> {
        let key = certificate_key_hash(certificate).ok_or("its certificate cannot be read")?;
        let mut peers = self.peers.iter_mut();
        let known = peers.find(|(_, entry)| entry.outgoing.peer.key == key);
        let (node, entry) = known.ok_or("this node is no member, or not yet known to be one")?;
        if !is_named(certificate, *node) {
            return Err(format!("the certificate is not that of node {}", node.0));
        }
        let rivals = entry.rivals(instance);
        if !rivals.is_empty() {
            return Ok(Admission::Rivals(*node, rivals));
        }
        entry.incoming.retain(|(_, connection)| connection.close_reason().is_none());
        if entry.incoming.len() >= CONNECTIONS_PER_PEER_MAX {
            entry.incoming.remove(0).1.close(Code::Replaced.number(), b"newer connections took its place");
        }
        entry.incoming.push((instance, connection.clone()));
        entry.outgoing.saw(connection.remote_address());
        Ok(Admission::Member(*node))
    }

    /// The connections of other processes of that node than this one, as far as is known.
    pub fn rivals(&self, node: NodeId, instance: Instance) -> Vec<Connection> {
        self.peers.get(&node).map(|entry| entry.rivals(instance)).unwrap_or_default()
    }

    /// How the peers stand, by node.
    pub fn status(&self) -> Vec<PeerStatus> {
        let status = |entry: &Entry| {
            let mut status = entry.outgoing.status();
            for connection in entry
                .incoming
                .iter()
                .map(|(_, connection)| connection)
                .filter(|connection| connection.close_reason().is_none())
            {
                let stats = connection.stats();
                status.sent_bytes += stats.udp_tx.bytes;
                status.received_bytes += stats.udp_rx.bytes;
            }
            status
        };
        self.peers.values().map(status).collect()
    }
}

impl Entry {
    fn close(&self, code: Code, reason: &[u8]) {
        self.outgoing.close();
        self.incoming.iter().for_each(|(_, connection)| connection.close(code.number(), reason));
    }

    fn rivals(&self, instance: Instance) -> Vec<Connection> {
        let known = self.incoming.iter().cloned().chain(self.outgoing.connections());
        let others = known.filter(|(of, connection)| *of != instance && connection.close_reason().is_none());
        others.map(|(_, connection)| connection).collect()
    }
}

fn is_named(certificate: &CertificateDer<'_>, node: NodeId) -> bool {
    let (Ok(name), Ok(parsed)) = (ServerName::try_from(node_name(node)), ParsedCertificate::try_from(certificate))
    else {
        return false;
    };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}
