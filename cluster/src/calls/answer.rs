//! Answers what other nodes ask about the groups here.

use crate::calls::Calls;
use crate::calls::message::{Indexed, Proposed, decode, encode};
use crate::transport::{Duplex, Service};
use bytes::Bytes;
use model::NodeId;
use std::sync::Arc;

impl Calls {
    /// Whether requests for `service` are answered here.
    pub fn serves(service: Service) -> bool {
        matches!(service, Service::Propose | Service::ReadIndex | Service::View | Service::Watch)
    }

    /// Answers a call; an error says why there is no answer.
    pub async fn answer(&self, from: NodeId, service: Service, request: Bytes) -> Result<Bytes, String> {
        match service {
            Service::Propose => {
                let proposed = self.propose_for(from, decode(&request)?).await;
                Ok(encode(&Proposed::from(proposed)))
            }
            Service::ReadIndex => {
                let index = self.read_index_for(decode(&request)?).await;
                Ok(encode(&Indexed::from(index)))
            }
            _ => Err(format!("{service:?} is no call about groups")),
        }
    }

    /// Serves a stream until it ends.
    pub async fn serve(self: &Arc<Self>, from: NodeId, service: Service, head: Bytes, duplex: Duplex) {
        let served = match service {
            Service::View => self.serve_view(&head, duplex).await,
            Service::Watch => self.serve_watch(&head, duplex).await,
            _ => Err(format!("{service:?} is no stream about groups")),
        };
        if let Err(error) = served {
            tracing::debug!(from = from.0, ?service, error, "a stream to a peer ended early");
        }
    }
}
