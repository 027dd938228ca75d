//! Changes of a group that has no replica here, heard from a node that holds one. Whenever it is not sure that all were
//! heard, it says so: a watcher then reads again.

use crate::calls::Calls;
use crate::calls::message::{Noticed, WatchHead, decode, encode};
use crate::calls::place::{Target, Tries};
use crate::limits::{CHANGES_QUEUED_MAX, READ_TIMEOUT};
use crate::runtime::Instant;
use crate::transport::{CallError, Duplex, Service};
use crate::watch::{Changes, Elsewhere, Notice, Subscription};
use model::{GroupId, NodeId};
use std::sync::Arc;
use tokio::sync::mpsc;

impl Calls {
    /// Hears of changes in a group from now on, wherever its replicas are and go.
    pub fn watch(self: &Arc<Self>, group: GroupId) -> Subscription {
        let following = Following { calls: self.clone(), group };
        match self.groups.group(group) {
            Some(held) => held.parts().changes.subscribe().or_elsewhere(Box::new(following)),
            None => Subscription::elsewhere(Box::new(following)),
        }
    }

    async fn follow(self: Arc<Self>, group: GroupId, notices: mpsc::Sender<Notice>) {
        let mut tries = Tries::new(Instant::now());
        loop {
            tries = tries.again(Instant::now() + READ_TIMEOUT);
            let target = self.target(group, &mut tries).await;
            if let Target::There(node) = target {
                let heard = self.hear(node, group, &notices).await;
                tracing::debug!(node = node.0, %group, ?heard, "a watched node is heard no more");
                self.places.forget(group);
            }
            tokio::select! {
                biased;
                () = notices.closed() => return,
                () = self.stopping.cancelled() => return,
                _ = self.pause(group, &mut tries) => {}
            }
            // Whoever listens hears it here from now on.
            if let Target::Here(_) = target {
                return;
            }
        }
    }

    async fn hear(&self, node: NodeId, group: GroupId, notices: &mpsc::Sender<Notice>) -> Result<(), CallError> {
        let head = encode(&WatchHead { group });
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut duplex = self.wire.transport()?.open(node, Service::Watch, head, deadline).await?;
        loop {
            let frame = tokio::select! {
                biased;
                frame = duplex.receiver.next() => frame?,
                () = notices.closed() => return Ok(()),
                () = self.stopping.cancelled() => return Ok(()),
            };
            let Some(frame) = frame else { return Ok(()) };
            let noticed = decode(&frame).map_err(CallError::Refused)?;
            let notice = match noticed {
                Noticed::Changed(change) => Notice::Changed(change),
                Noticed::Lagged => Notice::Lagged,
            };
            if notices.send(notice).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Tells another node of changes here until it has heard enough. What it takes too slowly it is told to read again.
    pub(super) async fn serve_watch(&self, head: &[u8], mut duplex: Duplex) -> Result<(), String> {
        let WatchHead { group } = decode(head)?;
        let held = self.groups.group(group).ok_or_else(|| format!("{group} is not here"))?;
        let mut changes = held.parts().changes.subscribe();
        // What changed before the subscription was not heard.
        let mut notice = Notice::Lagged;
        loop {
            let noticed = match notice {
                Notice::Changed(change) => Noticed::Changed(change),
                Notice::Lagged => Noticed::Lagged,
            };
            duplex.sender.send(encode(&noticed)).await.map_err(|error| error.to_string())?;
            notice = tokio::select! {
                biased;
                next = changes.next() => match next {
                    Some(next) => next,
                    None => break,
                },
                () = duplex.sender.stopped() => break,
            };
        }
        duplex.sender.finish().map_err(|error| error.to_string())
    }
}

struct Following {
    calls: Arc<Calls>,
    group: GroupId,
}

impl Elsewhere for Following {
    fn follow(&self) -> Option<mpsc::Receiver<Notice>> {
        if self.calls.stopping.is_cancelled() {
            return None;
        }
        let (notices, heard) = mpsc::channel(CHANGES_QUEUED_MAX);
        crate::runtime::spawn(self.calls.clone().follow(self.group, notices));
        Some(heard)
    }

    fn here(&self) -> Option<Changes> {
        Some(self.calls.groups.group(self.group)?.parts().changes.clone())
    }
}
