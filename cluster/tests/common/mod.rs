//! What the tests of one node and of several share: starting a node, commands to feed it, waiting.
#![allow(dead_code)]

use bytes::Bytes;
use cluster::{Cluster, ReadView, StartOptions};
use model::directory::DirectoryCommand;
use model::mailbox::{MailboxCommand, NewMessage, view};
use model::{AccountId, BodyHash, BodyRef, Command, FolderId, GroupId, OperationId, Uid};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::{Options, Store};
use tokio::time::{Instant, sleep};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub const SHARD: GroupId = GroupId(7);
pub const ACCOUNT: AccountId = AccountId(1);

/// Opens (or makes) a data directory, once the tasks of the node that had it before are gone. Blocks.
pub fn open_store(data: &Path) -> Store {
    let late = Instant::now() + PATIENCE;
    loop {
        let decode = Arc::new(cluster::decode_record);
        match Store::open(Options {
            data: data.to_path_buf(),
            decode,
            progress: Box::new(|_, _| ()),
            block_cache_bytes: None,
        }) {
            Err(_) if Instant::now() < late => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

pub async fn start(data: &Path) -> Cluster {
    start_with(data, Arc::new(|_, _| ())).await
}

pub async fn start_with(data: &Path, progress: cluster::Progress) -> Cluster {
    let data = data.to_path_buf();
    let store = tokio::task::spawn_blocking(move || open_store(&data)).await.unwrap();
    Cluster::start(StartOptions { progress, ..StartOptions::alone(store, "one") }).await.unwrap()
}

/// Stops a node so that its data directory can be opened again.
pub async fn stop(cluster: Cluster) {
    cluster.shutdown().await;
    let store = cluster.store().clone();
    drop(cluster);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
}

pub fn operation(number: u64) -> OperationId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    OperationId::new(1_000_000, random)
}

pub fn set(name: &str, value: &str) -> Command {
    let (name, value) = (name.to_string(), Some(value.to_string()));
    Command::Directory(DirectoryCommand::SetSetting { name, value })
}

pub fn setting(view: &ReadView, name: &str) -> Option<String> {
    model::directory::view::setting(view, name).unwrap()
}

pub fn create_account(account: AccountId) -> Command {
    Command::Mailbox(MailboxCommand::CreateAccount { account, address: format!("user{}@example.org", account.0) })
}

pub fn inline(bytes: &'static [u8]) -> BodyRef {
    let mut hash = [0; 32];
    hash.copy_from_slice(blake3::hash(bytes).as_bytes());
    BodyRef { hash: BodyHash(hash), size: bytes.len() as u64, inline: Some(Bytes::from_static(bytes)) }
}

pub fn append(folder: FolderId, body: BodyRef) -> Command {
    let message = NewMessage { body, flags: 0, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
    Command::Mailbox(MailboxCommand::Append { account: ACCOUNT, folder, messages: vec![message] })
}

pub fn inbox(view: &ReadView) -> FolderId {
    view::folder_by_name(view, ACCOUNT, "INBOX").unwrap().unwrap().id
}

pub fn uids(view: &ReadView, folder: FolderId) -> Vec<Uid> {
    view::states(view, ACCOUNT, folder).unwrap().iter().map(|state| state.uid).collect()
}

/// Waits for a condition; says what is the case when it never holds.
pub async fn until<T: std::fmt::Debug>(mut look: impl AsyncFnMut() -> Result<(), T>) {
    let (deadline, mut last) = (Instant::now() + PATIENCE, None);
    while Instant::now() < deadline {
        match look().await {
            Ok(()) => return,
            Err(state) => last = Some(state),
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to be: {last:?}");
}
