//! Becoming a node of a cluster: a blank data directory, a token and the address of any node go in; out come the
//! authority and the identity of a node that holds nothing yet.
//!
//! The node key is written before the first word, the identity last: a node that is cut off in between asks again with
//! the same token and is the same node.

use crate::authority::Authority;
use crate::error::StartError;
use crate::files::Files;
use crate::identity::Identity;
use crate::limits::{JOIN_RETRY_WAIT, JOIN_TIMEOUT};
use crate::members::peers;
use crate::members::token::{Token, prove};
use crate::runtime::{Instant, sleep_until};
use crate::start::blocking;
use crate::transport::{JoinError, Network, Peer, ask_as_stranger};
use bytes::Bytes;
use model::directory::row::{NodeFacts, TokenId};
use model::directory::view;
use model::{GroupId, NodeId, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use storage::Store;

/// How a blank node comes to its cluster.
#[derive(Clone, Debug)]
pub struct Join {
    /// `host:port` of the cluster port of any node.
    pub address: String,
    /// What [`crate::Cluster::create_token`] gave.
    pub token: String,
}

/// What a newcomer says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Which token it has.
    pub token: TokenId,
    /// That it knows its secret; see [`crate::members::token`].
    pub proof: [u8; 32],
    /// What it says of itself.
    pub facts: NodeFacts,
}

/// What a newcomer hears.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// It belongs to the cluster.
    Admitted(Admitted),
    /// It does not, and why.
    Refused(String),
    /// Nothing can be decided now: it asks again.
    Later(String),
}

/// All that a node needs to be one.
#[derive(Serialize, Deserialize)]
pub struct Admitted {
    /// Its id.
    pub node: NodeId,
    /// The authority's key, PEM.
    pub ca_key: String,
    /// The authority's certificate, PEM.
    pub ca_certificate: String,
    /// The other nodes: whom it lets in until the directory is here.
    pub peers: BTreeMap<NodeId, Peer>,
}

/// Asks until the cluster has decided, at most [`JOIN_TIMEOUT`]. `facts` has everything but the key.
pub async fn join(
    store: &Store,
    join: &Join,
    facts: NodeFacts,
    network: Option<&dyn Network>,
) -> Result<(Identity, Authority), StartError> {
    let token: Token = join.token.parse().map_err(|reason: &str| StartError::Join(reason.into()))?;
    if join.address == facts.address {
        return Err(StartError::Join(format!("{} is this node itself; name another node", join.address)));
    }
    let key = blocking(store, |store| Authority::prepare_node_key(&Files::open(store.disk())?)).await?;
    let facts = NodeFacts { key, ..facts };
    let way = Way { join, token: &token, network };
    let admitted = ask_until(&way, &facts, Instant::now() + JOIN_TIMEOUT).await?;
    blocking(store, move |store| settle_in(store, admitted)).await
}

/// Whether a data directory that belongs to a node may be started by whoever wants to join: it must be that node of the
/// cluster the token is for, and then the token is not needed. Nothing is changed. Blocks.
pub fn check_belongs(
    store: &Store,
    join: &Join,
    identity: &Identity,
    authority: &Authority,
    name: &str,
) -> Result<(), StartError> {
    let data = store.data().display();
    // A token that cannot be read says nothing, as one that was used up long ago and lost since.
    let other = join.token.parse::<Token>().is_ok_and(|token| token.fingerprint != authority.fingerprint());
    if other {
        return Err(StartError::Join(format!(
            "{data} belongs to another cluster than the token; to join that one begin with an empty data directory, \
             to start this node again leave --join and --token away"
        )));
    }
    match known_name(store, identity)? {
        Some(own) if own != name => Err(StartError::Join(format!(
            "{data} is that of node {own}, not of {name}; to join as {name} begin with an empty data directory, to start \
             {own} again say so: --name {own}"
        ))),
        _ => Ok(()),
    }
}

/// The node's name in the copy of the directory that is here; `None` when it has not come yet.
fn known_name(store: &Store, identity: &Identity) -> Result<Option<String>, StartError> {
    let group = GroupId::DIRECTORY;
    if !identity.replicas.contains_key(&group) {
        return Ok(None);
    }
    let failed = |reason: String| StartError::Group { group, reason };
    let rows = store.state(group).and_then(|state| state.read()).map_err(|error| failed(error.to_string()))?;
    let row = view::node(&rows, identity.node).map_err(|error| failed(error.to_string()))?;
    Ok(row.map(|row| row.facts.name))
}

/// Whom to ask, and what to show.
struct Way<'a> {
    join: &'a Join,
    token: &'a Token,
    network: Option<&'a dyn Network>,
}

async fn ask_until(way: &Way<'_>, facts: &NodeFacts, deadline: Instant) -> Result<Admitted, StartError> {
    loop {
        let reason = match ask(way, facts, deadline).await {
            Ok(Answer::Admitted(admitted)) => return Ok(admitted),
            Ok(Answer::Refused(reason)) => return Err(StartError::Join(reason)),
            Ok(Answer::Later(reason)) => reason,
            Err(error @ (JoinError::Refused(_) | JoinError::OtherCluster)) => {
                return Err(StartError::Join(error.to_string()));
            }
            Err(error) => error.to_string(),
        };
        let next = Instant::now() + JOIN_RETRY_WAIT;
        if next >= deadline {
            return Err(StartError::Join(reason));
        }
        tracing::warn!(address = way.join.address, reason, "not admitted yet; asking again");
        sleep_until(next).await;
    }
}

async fn ask(way: &Way<'_>, facts: &NodeFacts, deadline: Instant) -> Result<Answer, JoinError> {
    let Way { join, token, network } = way;
    let request = |binding| {
        let proof = prove(&token.key(), &binding, facts);
        Bytes::from(codec::encode(&Request { token: token.id, proof, facts: facts.clone() }))
    };
    let answer = match network {
        Some(network) => network.ask(&join.address, Box::new(request), deadline).await?,
        None => ask_as_stranger(&join.address, token.fingerprint, request, deadline).await?,
    };
    codec::decode(&answer).map_err(|error| JoinError::Unknown(format!("the answer cannot be read: {error}")))
}

fn settle_in(store: &Store, admitted: Admitted) -> Result<(Identity, Authority), StartError> {
    let Admitted { node, ca_key, ca_certificate, peers } = admitted;
    let files = Files::open(store.disk())?;
    let authority = Authority::adopt(&files, &ca_key, &ca_certificate, node)?;
    peers::save(&files, &peers)?;
    let identity = Identity::admitted(node);
    identity.save(store)?;
    tracing::info!(node = node.0, peers = peers.len(), "admitted to the cluster");
    Ok((identity, authority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cluster, StartOptions, testing};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_joiner_that_was_cut_off_comes_again_with_its_token_and_is_the_same_node() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one_store, two_store) = (testing::open_store(here.path()), testing::open_store(there.path()));
        let one = Cluster::start(StartOptions::alone(one_store, "one")).await.unwrap();
        let token = one.create_token(Duration::from_secs(3600)).await.unwrap();
        let join = Join { address: one.cluster_address().to_string(), token };
        let key = Authority::prepare_node_key(&Files::open(two_store.disk()).unwrap()).unwrap();
        let facts = NodeFacts { name: "two".into(), key, format: crate::members::FORMAT, ..NodeFacts::default() };
        let token = join.token.parse().unwrap();
        let way = Way { join: &join, token: &token, network: None };
        let admitted = ask_until(&way, &facts, Instant::now() + JOIN_TIMEOUT).await.unwrap();
        assert_eq!(admitted.node, NodeId(2));
        // It ends before it writes that down, and begins anew.
        drop(admitted);
        let begin = |token: String| {
            let join = Some(Join { token, ..join.clone() });
            Cluster::start(StartOptions { join, ..StartOptions::alone(two_store.clone(), "two") })
        };
        let two = begin(join.token.clone()).await.unwrap();
        assert_eq!(two.node(), NodeId(2));
        assert_eq!(one.nodes().await.unwrap().len(), 2);
        two.shutdown().await;
        // From now on it belongs: the token is not needed, but it must be for this cluster.
        for token in ["spent".into(), join.token.clone()] {
            let two = begin(token).await.unwrap();
            assert_eq!(two.node(), NodeId(2));
            two.shutdown().await;
        }
        let (fingerprint, other) = (join.token.split('.').nth(1).unwrap(), "ab".repeat(32));
        let refused = begin(join.token.replace(fingerprint, &other)).await.err().unwrap().to_string();
        assert!(refused.contains("another cluster"), "{refused}");
        let renamed = StartOptions { join: Some(join.clone()), ..StartOptions::alone(two_store.clone(), "three") };
        let refused = Cluster::start(renamed).await.err().unwrap().to_string();
        assert!(refused.contains("--name two"), "{refused}");
        one.shutdown().await;
    }
}
