//! The mail queue for operators: every shard's messages in one listing, and a word on one of them.

use super::accounts::time;
use super::protocol::{AdminError, AdminReply, Page, QueueItem, RecipientItem};
use super::service::{AdminService, unreadable};
use crate::limits::ADMIN_PAGE_ITEMS_MAX;
use cluster::ReadView;
use futures::future::join_all;
use model::queue::row::{Progress, QueueRow};
use model::queue::{QueueCommand, view};
use model::{Command, GroupId, MessageId, OperationId, ReadError};
use std::collections::BTreeSet;

pub(super) async fn list(admin: &AdminService, page: &Page) -> Result<AdminReply, AdminError> {
    let after = page.after.as_deref().map(id).transpose()?;
    let views = shards(admin).await?;
    let items = blocking(move || {
        let mut all = Vec::new();
        for (_, rows) in &views {
            all.extend(view::list(rows, after, ADMIN_PAGE_ITEMS_MAX)?);
        }
        // Ids begin with the time of acceptance.
        all.sort_by_key(|(message, _)| *message);
        all.truncate(ADMIN_PAGE_ITEMS_MAX);
        Ok(all.into_iter().map(|(message, row)| item(message, row)).collect::<Vec<_>>())
    });
    Ok(AdminReply::Queue(items.await?))
}

pub(super) async fn show(admin: &AdminService, text: &str) -> Result<AdminReply, AdminError> {
    let message = id(text)?;
    let (_, row) = find(admin, message).await?;
    Ok(AdminReply::Queue(vec![item(message, row)]))
}

pub(super) async fn retry(admin: &AdminService, text: &str) -> Result<AdminReply, AdminError> {
    let message = id(text)?;
    let (shard, _) = find(admin, message).await?;
    admin.propose(shard, Command::Queue(QueueCommand::Retry { message })).await?;
    Ok(AdminReply::Done)
}

pub(super) async fn remove(admin: &AdminService, text: &str) -> Result<AdminReply, AdminError> {
    let message = id(text)?;
    let (shard, _) = find(admin, message).await?;
    admin.propose(shard, Command::Queue(QueueCommand::Remove { message })).await?;
    Ok(AdminReply::Done)
}

/// Messages in all queues that can be read now, counted up to `most`.
pub(super) async fn count(admin: &AdminService, most: usize) -> Result<u64, AdminError> {
    let views: Vec<_> = open_all(admin).await.into_iter().filter_map(Result::ok).collect();
    let count = blocking(move || {
        let mut count = 0;
        for (_, rows) in &views {
            model::txn::scan_prefix(rows, b"Q", &mut |_, _| {
                count += 1;
                if count < most { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
            })?;
        }
        Ok(count)
    });
    Ok(count.await? as u64)
}

async fn find(admin: &AdminService, message: MessageId) -> Result<(GroupId, QueueRow), AdminError> {
    let views = shards(admin).await?;
    let found = blocking(move || {
        for (shard, rows) in &views {
            if let Some(row) = view::message(rows, message)? {
                return Ok(Some((*shard, row)));
            }
        }
        Ok(None)
    });
    found.await?.ok_or_else(|| AdminError::Refused(format!("{message}: no such message in the queue")))
}

type Opened = Result<(GroupId, ReadView), AdminError>;

/// The rows of every shard, also of those this node holds no replica of.
async fn shards(admin: &AdminService) -> Result<Vec<(GroupId, ReadView)>, AdminError> {
    open_all(admin).await.into_iter().collect()
}

async fn open_all(admin: &AdminService) -> Vec<Opened> {
    let cluster = &admin.services.cluster;
    let here: BTreeSet<GroupId> = cluster.groups().collect();
    let open = async |shard: GroupId| {
        // What is here is good enough for a look, and answers without a quorum too.
        let rows = if here.contains(&shard) { cluster.read_stale(shard) } else { cluster.read(shard).await };
        rows.map(|rows| (shard, rows)).map_err(|error| AdminError::Unavailable(format!("{shard}: {error}")))
    };
    join_all(GroupId::shards().map(open)).await
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, AdminError> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| AdminError::Unavailable(error.to_string()))?.map_err(unreadable)
}

fn id(text: &str) -> Result<MessageId, AdminError> {
    OperationId::from_hex(text)
        .ok_or_else(|| AdminError::Refused(format!("{text:?} is not a message id: 32 hexadecimal digits")))
}

fn item(message: MessageId, row: QueueRow) -> QueueItem {
    let recipient = |recipient: model::queue::row::QueueRecipient| RecipientItem {
        address: recipient.address,
        state: match recipient.progress {
            Progress::Pending => "pending",
            Progress::Delivered => "delivered",
            Progress::Failed => "failed",
        }
        .to_owned(),
        said: recipient.last_text,
    };
    QueueItem {
        id: message.to_hex(),
        sender: row.sender,
        size: row.size,
        accepted: time(row.accepted_at),
        next_attempt: time(row.next_attempt_at),
        expires: time(row.expires_at),
        attempts: row.attempts,
        trying: row.lease.is_some(),
        recipients: row.recipients.into_iter().map(recipient).collect(),
    }
}
