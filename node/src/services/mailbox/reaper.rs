//! Takes away what deleted folders and failed COPYs left, a bounded piece per log entry, behind the acknowledgement.
//! Started after every DELETE and failed COPY and by every leader, so that a crash in between leaves nothing behind.

use super::parts;
use super::proposals::Proposer;
use crate::limits::{COPY_LOOK_INTERVAL, FILES_PER_ENTRY, FORMAT_OF_PARTS, REAP_RETRY_WAIT};
use crate::services::leadership::Gains;
use model::mailbox::MailboxCommand;
use model::{AccountId, Command, GroupId, OperationId, Read, ReadError, Reply, key};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Reaps in the background until nothing of the account is left to reap.
pub fn start(proposer: Proposer, shard: GroupId, account: AccountId) {
    tokio::spawn(async move { reap(&proposer, shard, account).await });
}

/// Reaps what earlier runs and earlier leaders did not finish, whenever this node begins to lead a shard. Never ends.
pub async fn resume(proposer: Proposer) {
    let mut gains = Gains::new(proposer.cluster.clone());
    loop {
        for shard in gains.next().await.into_iter().filter(|group| !group.is_directory()) {
            resume_in(&proposer, shard).await;
        }
    }
}

async fn resume_in(proposer: &Proposer, shard: GroupId) {
    let Ok(view) = proposer.cluster.read(shard).await else { return };
    match tokio::task::spawn_blocking(move || accounts_waiting(&view)).await {
        Ok(Ok(accounts)) => {
            for account in accounts {
                reap(proposer, shard, account).await;
            }
        }
        Ok(Err(error)) => tracing::error!(%shard, %error, "what waits to be reaped cannot be read"),
        Err(error) => tracing::error!(%shard, %error, "what waits to be reaped was not read"),
    }
}

async fn reap(proposer: &Proposer, shard: GroupId, account: AccountId) {
    let command = if proposer.cluster.active_format().await < FORMAT_OF_PARTS {
        MailboxCommand::Reap { account }
    } else {
        MailboxCommand::ReapPart { account, count: FILES_PER_ENTRY as u32 }
    };
    repeat(proposer, shard, command).await;
}

/// Undoes a failed COPY in the background. What cannot be done here is left to [`undo_abandoned`].
pub fn start_undo(proposer: Proposer, shard: GroupId, account: AccountId, copy: OperationId) {
    cluster::runtime::spawn(async move {
        repeat(&proposer, shard, MailboxCommand::UndoCopy { account, copy }).await;
    });
}

/// Undoes COPYs that lost their session, in the shards that this node leads. Never ends.
pub async fn undo_abandoned(proposer: Proposer) {
    loop {
        cluster::runtime::sleep(COPY_LOOK_INTERVAL).await;
        for shard in proposer.cluster.groups().filter(|group| !group.is_directory()) {
            if proposer.cluster.leads(shard) {
                undo_in(&proposer, shard).await;
            }
        }
    }
}

async fn undo_in(proposer: &Proposer, shard: GroupId) {
    let Ok(view) = proposer.cluster.read(shard).await else { return };
    let now = proposer.clock.now();
    match cluster::runtime::blocking(move || parts::abandoned(&view, now)).await {
        Ok(Ok(copies)) => {
            for (account, copy) in copies {
                tracing::info!(%shard, ?account, %copy, "a COPY lost its session and is undone");
                repeat(proposer, shard, MailboxCommand::UndoCopy { account, copy }).await;
            }
        }
        Ok(Err(error)) => tracing::error!(%shard, %error, "unfinished COPYs cannot be read"),
        Err(error) => tracing::error!(%shard, %error, "unfinished COPYs were not read"),
    }
}

/// Proposes `command` until it says that nothing is left to do.
async fn repeat(proposer: &Proposer, shard: GroupId, command: MailboxCommand) {
    loop {
        let command = Command::Mailbox(command.clone());
        match proposer.cluster.propose(shard, proposer.operation(), command).await {
            Ok(Reply::Reaped { more: true }) => {}
            Ok(_) | Err(cluster::ProposeError::Stopped | cluster::ProposeError::NotLeader { .. }) => return,
            // Doing it again does no harm, so nothing needs to be known about the last try.
            Err(_) => cluster::runtime::sleep(REAP_RETRY_WAIT).await,
        }
    }
}

/// Accounts with folders waiting to be reaped.
fn accounts_waiting(from: &dyn Read) -> Result<BTreeSet<AccountId>, ReadError> {
    let mut accounts = BTreeSet::new();
    let prefix = key::Key::table(b'G').done();
    model::txn::scan_prefix(from, &prefix, &mut |key, _| {
        accounts.extend(key::number_at(key, 1).map(AccountId));
        ControlFlow::Continue(())
    })?;
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn accounts_with_garbage_are_found() {
        let mut sample = Sample::new();
        assert!(accounts_waiting(sample.rows()).unwrap().is_empty());
        sample.apply(MailboxCommand::DeleteFolder { account: sample.account, name: "Junk".into() });
        assert_eq!(accounts_waiting(sample.rows()).unwrap(), BTreeSet::from([sample.account]));
    }
}
