//! Rows for nodes that hold no replica of a group: opened on a node that does, pinned there while they are read.

use crate::calls::Calls;
use crate::calls::message::{ViewAnswer, ViewAsk, ViewHead, decode, encode};
use crate::calls::place::{Target, Tries, exists};
use crate::calls::read::Passed;
use crate::calls::view::ReadView;
use crate::error::ReadError;
use crate::group::Group;
use crate::limits::{READ_TIMEOUT, VIEW_CHUNK_BYTES, VIEW_IDLE_MAX, VIEWS_SERVED_MAX};
use crate::runtime::{Instant, timeout};
use crate::transport::{CallError, Duplex, Service};
use bytes::Bytes;
use model::{GroupId, NodeId, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Views of other nodes that are open here at a time.
pub struct Served(tokio::sync::Semaphore);

impl Default for Served {
    fn default() -> Self {
        Served(tokio::sync::Semaphore::new(VIEWS_SERVED_MAX))
    }
}

impl Calls {
    /// The rows of a group with everything in them that was acknowledged before the call. Says whether somebody was asked.
    pub async fn read(self: &Arc<Self>, group: GroupId) -> Result<(ReadView, bool), ReadError> {
        exists(group).map_err(|hint| ReadError::NotLeader { hint })?;
        if self.groups.group(group).is_some()
            && !self.places.is_behind(group)
            && let Passed::Here { held, asked } = self.barrier(group).await?
        {
            return self.rows_of(&held).map(|rows| (rows, asked));
        }
        self.read_elsewhere(group).await.map(|rows| (rows, true))
    }

    /// The rows of a group that has passed a barrier. A replica that goes is taken off the list before its rows are
    /// touched, so rows that were opened while it stood there are whole.
    fn rows_of(&self, held: &Arc<Group>) -> Result<ReadView, ReadError> {
        let rows = held.parts().state.read().map_err(|error| ReadError::Broken(error.to_string()))?;
        let now = self.groups.group(held.parts().group);
        if now.is_some_and(|now| Arc::ptr_eq(&now, held)) { Ok(rows.into()) } else { Err(ReadError::Unavailable) }
    }

    async fn read_elsewhere(&self, group: GroupId) -> Result<ReadView, ReadError> {
        let mut tries = Tries::new(Instant::now() + READ_TIMEOUT);
        loop {
            if let Target::There(node) = self.target(group, &mut tries).await {
                match self.open_view(node, group).await {
                    Ok(view) => {
                        self.places.remember(group, node);
                        return Ok(view);
                    }
                    Err(error) => {
                        tracing::debug!(node = node.0, %group, %error, "rows were not opened");
                        self.places.forget(group);
                    }
                }
            }
            if !self.pause(group, &mut tries).await {
                return Err(ReadError::Unavailable);
            }
        }
    }

    async fn open_view(&self, node: NodeId, group: GroupId) -> Result<ReadView, CallError> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let head = encode(&ViewHead { group });
        let mut duplex = self.wire.transport()?.open(node, Service::View, head, deadline).await?;
        let late = |_| CallError::Unknown("it took too long".into());
        let opened = crate::runtime::timeout_at(deadline, duplex.receiver.next()).await.map_err(late)??;
        match opened.map(|frame| decode::<ViewAnswer>(&frame)) {
            Some(Ok(ViewAnswer::Open)) => Ok(ReadView::pinned(duplex)),
            Some(Ok(ViewAnswer::Failed(reason)) | Err(reason)) => Err(CallError::Refused(reason)),
            _ => Err(CallError::Unknown("the stream ended".into())),
        }
    }

    /// Keeps rows open for another node until it has read enough or is silent for [`VIEW_IDLE_MAX`].
    pub(super) async fn serve_view(self: &Arc<Self>, head: &[u8], mut duplex: Duplex) -> Result<(), String> {
        let ViewHead { group } = decode(head)?;
        let opened = match self.views.0.try_acquire() {
            _ if self.groups.group(group).is_none() => Err(format!("{group} is not here")),
            // Not from elsewhere: nodes would send each other round in a ring.
            Ok(permit) => match self.barrier(group).await {
                Ok(Passed::Here { held, .. }) => self.rows_of(&held).map(|rows| (rows, permit)),
                Ok(Passed::Behind) => Err(ReadError::Unavailable),
                Err(error) => Err(error),
            }
            .map_err(|error| error.to_string()),
            Err(_) => Err("too many views are open".into()),
        };
        let (mut rows, _permit) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                // The asker looks elsewhere.
                let told = duplex.sender.send(encode(&ViewAnswer::Failed(reason))).await;
                return told.and_then(|()| duplex.sender.finish()).map_err(|error| error.to_string());
            }
        };
        duplex.sender.send(encode(&ViewAnswer::Open)).await.map_err(|error| error.to_string())?;
        while let Ok(frame) = timeout(VIEW_IDLE_MAX, duplex.receiver.next()).await {
            let Some(frame) = frame.map_err(|error| error.to_string())? else { break };
            let ask = decode(&frame)?;
            let answered = crate::runtime::blocking(move || (look(&rows, ask), rows)).await;
            let (answer, again) = answered.map_err(|error| error.to_string())?;
            rows = again;
            duplex.sender.send(encode(&answer)).await.map_err(|error| error.to_string())?;
        }
        duplex.sender.finish().map_err(|error| error.to_string())
    }
}

/// Blocks on the disk.
fn look(rows: &ReadView, ask: ViewAsk) -> ViewAnswer {
    let answer = match ask {
        ViewAsk::Get(key) => rows.get(&key).map(|row| ViewAnswer::Row(row.map(Bytes::from))),
        ViewAsk::Scan { start, end } => {
            let (mut found, mut bytes) = (Vec::new(), 0);
            let scanned = rows.scan(&start[..]..&end[..], &mut |key, value| {
                bytes += key.len() + value.len();
                found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
                if bytes < VIEW_CHUNK_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            scanned.map(|()| ViewAnswer::Rows { rows: found, more: bytes >= VIEW_CHUNK_BYTES })
        }
    };
    answer.unwrap_or_else(|error| ViewAnswer::Failed(error.to_string()))
}
