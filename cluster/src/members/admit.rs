//! Deciding about a node that wants to join: its proof is checked here, the directory decides the rest.

use crate::error::{ProposeError, StartError};
use crate::handle::Cluster;
use crate::members::join::{Admitted, Answer, Request};
use crate::members::peers;
use crate::members::token::is_proved;
use bytes::Bytes;
use model::directory::members::MemberCommand;
use model::directory::row::NodeFacts;
use model::directory::view;
use model::{GroupId, NodeId, Refusal, Reply, codec};

const OUTDATED: &str = "this release is older than what the cluster uses; install the release of the other nodes";

/// Answers the request of a stranger on the connection that `binding` belongs to.
pub async fn admit(cluster: &Cluster, binding: [u8; 32], request: &[u8]) -> Result<Bytes, String> {
    let request: Request = codec::decode(request).map_err(|error| error.to_string())?;
    let name = request.facts.name.clone();
    let answer = decide(cluster, binding, request).await;
    match &answer {
        Answer::Admitted(admitted) => tracing::info!(node = admitted.node.0, name, "a node was admitted"),
        Answer::Refused(reason) | Answer::Later(reason) => tracing::warn!(name, reason, "a node was not admitted"),
    }
    Ok(codec::encode(&answer).into())
}

async fn decide(cluster: &Cluster, binding: [u8; 32], request: Request) -> Answer {
    match check(cluster, binding, &request).await {
        Ok(None) => {}
        Ok(Some(reason)) => return Answer::Refused(reason),
        Err(reason) => return Answer::Later(reason),
    }
    let Request { token, facts, .. } = request;
    let command = MemberCommand::Admit { token, facts: facts.clone() };
    match cluster.change_members(command).await {
        Ok(Reply::Node(node)) => welcome(cluster, node).await,
        Ok(Reply::Refused(refusal)) => Answer::Refused(words(refusal, &facts)),
        Ok(reply) => Answer::Later(format!("an unexpected answer: {reply:?}")),
        Err(error @ ProposeError::TooLarge { .. }) => Answer::Refused(error.to_string()),
        Err(error) => Answer::Later(error.to_string()),
    }
}

/// What speaks against the request itself. An error when that cannot be said now.
async fn check(cluster: &Cluster, binding: [u8; 32], request: &Request) -> Result<Option<String>, String> {
    let rows = cluster.read(GroupId::DIRECTORY).await.map_err(|error| error.to_string())?;
    let token = request.token;
    let looked_up = crate::runtime::blocking(move || {
        Ok::<_, model::ReadError>((view::token(&rows, token)?, view::active_format(&rows)?))
    });
    let found = looked_up.await.map_err(|error| error.to_string())?;
    let (token, format) = found.map_err(|error| error.to_string())?;
    let Some(token) = token else { return Ok(Some("the token is not known here: mistyped, or long over".into())) };
    if !is_proved(&token.key, &binding, &request.facts, &request.proof) {
        return Ok(Some("the token's secret is wrong".into()));
    }
    let is_old = request.facts.format < format;
    Ok(is_old.then(|| OUTDATED.into()))
}

async fn welcome(cluster: &Cluster, node: NodeId) -> Answer {
    let authority = cluster.authority().clone();
    let exported = crate::runtime::blocking(move || authority.export()).await;
    let exported = exported.unwrap_or_else(|error| Err(StartError::Interrupted(error.to_string())));
    match (exported, cluster.inner().directory.rows().await) {
        (Ok((ca_key, ca_certificate)), Some(rows)) => {
            let mut peers = peers::of(&rows);
            peers.remove(&node);
            Answer::Admitted(Admitted { node, ca_key, ca_certificate, peers })
        }
        (Err(error), _) => Answer::Later(error.to_string()),
        (_, None) => Answer::Later("the directory cannot be read now".into()),
    }
}

fn words(refusal: Refusal, facts: &NodeFacts) -> String {
    const AGAIN: &str = "make another: mailnode token create";
    match refusal {
        Refusal::NotFound => "the token is not known here: mistyped, or long over".into(),
        Refusal::Expired => format!("the token has expired; {AGAIN}"),
        Refusal::Used => format!("the token was used by another node; {AGAIN}"),
        Refusal::Exists => format!("another node has the name {}; choose another", facts.name),
        Refusal::Invalid => format!("the name {:?} or the address {:?} cannot be", facts.name, facts.address),
        Refusal::Limit => "the cluster has as many nodes as it can have".into(),
        Refusal::Outdated => OUTDATED.into(),
        Refusal::Cannot => "this node was removed; begin with an empty data directory".into(),
        other => format!("refused: {other:?}"),
    }
}
