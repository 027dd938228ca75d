//! The invariants, checked on an open store from what the world outside knows.

use super::driver::{GROUP, Witness};
use crate::Store;
use model::mailbox::{maildir, view};
use model::memory::MemoryTxn;
use model::{AccountId, BodyHash, Entry, Read, Reply, codec};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn all_rows(read: &dyn Read) -> Rows {
    let mut rows = Rows::new();
    read.scan(&[]..&[0xff; 64], &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// The rows that entries 1 to `upto` make, and their replies.
pub fn replay(proposed: &[Entry], upto: u64) -> (MemoryTxn, Vec<Reply>) {
    let mut txn = MemoryTxn::new();
    let replies =
        (1..=upto).map(|index| model::apply(&mut txn, GROUP, index, &proposed[index as usize - 1]).unwrap().reply);
    let replies = replies.collect();
    (txn, replies)
}

/// I1: every acknowledged entry is there, and replies agree with what is applied again.
pub fn acknowledged(store: &Store, witness: &Witness) -> Result<(), String> {
    let log = store.log(GROUP).unwrap();
    let durable = *witness.durable.lock();
    let proposed = witness.proposed.lock();
    let purged = log.purged_index().unwrap_or(0);
    let records = log.read(purged + 1..u64::MAX, usize::MAX).map_err(|error| error.to_string())?;
    let end = purged + records.len() as u64;
    if end < durable {
        return Err(format!("I1: the log ends at {end}, {durable} was durable"));
    }
    let replied = witness.replied.lock();
    if replied.last().is_some_and(|(index, _)| *index > end) {
        return Err("I1: an applied entry is gone".into());
    }
    for (index, bytes) in records {
        let entry: Entry = codec::decode(&bytes).map_err(|error| error.to_string())?;
        if index <= durable && entry != proposed[index as usize - 1] {
            return Err(format!("I1: entry {index} is another one"));
        }
    }
    Ok(())
}

/// I3 and I6: the rows are what the same log makes anywhere, so no counter fell.
pub fn rows_agree(store: &Store, witness: &Witness) -> Result<(), String> {
    let state = store.state(GROUP).unwrap();
    let view = state.read().unwrap();
    let applied = view.applied().unwrap().map_or(0, |(index, _)| index);
    let (expected, replies) = replay(&witness.proposed.lock(), applied);
    if all_rows(&view) != *expected.rows() {
        return Err(format!("I3: rows at entry {applied} differ from a replay"));
    }
    let replied = witness.replied.lock();
    match replied.iter().find(|(index, reply)| *index <= applied && replies[*index as usize - 1] != *reply) {
        Some((index, _)) => Err(format!("I6: entry {index} has another outcome than it was acknowledged with")),
        None => Ok(()),
    }
}

/// I2: every body a row names is there, whole.
pub fn bodies_whole(store: &Store) -> Result<(), String> {
    let view = store.state(GROUP).unwrap().read().unwrap();
    for (path, hash) in expected_files(&view) {
        let body = store.bodies().open_body(&hash).map_err(|error| format!("I2: body of {path}: {error}"))?;
        if body.hash().unwrap() != hash {
            return Err(format!("I2: body of {path} is torn"));
        }
    }
    Ok(())
}

/// Every name of a body that the rows ask for.
pub fn expected_files(view: &dyn Read) -> BTreeMap<String, BodyHash> {
    let mut files = BTreeMap::new();
    for (account, folder, directory) in expected_folders(view) {
        for state in view::states(view, account, folder).unwrap() {
            let file = maildir::message_file(view, account, folder, state.uid).unwrap().unwrap();
            files.insert(format!("{directory}/cur/{}:2,{}", file.base, file.flags), file.hash);
        }
    }
    for (message, row) in model::queue::view::list(view, None, 1000).unwrap() {
        files.insert(format!("queue/{}", message.to_hex()), row.hash);
    }
    files
}

fn expected_folders(view: &dyn Read) -> Vec<(AccountId, model::FolderId, String)> {
    let mut folders = Vec::new();
    for account in [AccountId(1), AccountId(2)] {
        let Some(home) = maildir::account_directory(view, account).unwrap() else { continue };
        for folder in (1..40).map(model::FolderId) {
            if let Some(directory) = maildir::folder_directory(view, account, folder).unwrap() {
                let slash = if directory.is_empty() { "" } else { "/" };
                folders.push((account, folder, format!("mail/{home}{slash}{directory}")));
            }
        }
    }
    folders
}

/// I4: under `mail` and `queue` lie exactly the names the rows ask for, each a link of its body. `paths` maps every path
/// on the disk to its inode.
pub fn files_agree(store: &Store, paths: &BTreeMap<String, u64>) -> Result<(), String> {
    let view = store.state(GROUP).unwrap().read().unwrap();
    let files = expected_files(&view);
    for (path, hash) in &files {
        let body = paths.get(&crate::bodies::place(hash));
        if body.is_none() || paths.get(path) != body {
            return Err(format!("I4: {path} is not a name of its body"));
        }
    }
    let mut folders: BTreeSet<String> =
        expected_folders(&view).into_iter().map(|(_, _, directory)| directory).collect();
    // INBOX is the account's own directory and stays as long as the account, also when reaping has taken the folder.
    let homes = [AccountId(1), AccountId(2)].map(|account| maildir::account_directory(&view, account).unwrap());
    folders.extend(homes.into_iter().flatten().map(|home| format!("mail/{home}")));
    let known = |path: &str| {
        path == "mail/example.org"
            || files.contains_key(path)
            || folders.iter().any(|folder| path == folder || folder.starts_with(&format!("{path}/")))
            || ["cur", "new", "tmp"]
                .iter()
                .any(|part| path.strip_suffix(part).is_some_and(|home| folders.contains(home.trim_end_matches('/'))))
    };
    match paths
        .keys()
        .find(|path| path.starts_with("mail/") && !known(path) || path.starts_with("queue/") && !known(path))
    {
        Some(path) => Err(format!("I4: {path} should not be there")),
        None => Ok(()),
    }
}

/// Once the whole log is purged no body is left that nothing names, and nothing waits in staging.
pub fn nothing_left_over(store: &Store, paths: &BTreeMap<String, u64>) -> Result<(), String> {
    let view = store.state(GROUP).unwrap().read().unwrap();
    let named: BTreeSet<String> = expected_files(&view).values().map(crate::bodies::place).collect();
    let body = |path: &str| path.starts_with("bodies/") && path.len() > 60;
    match paths.keys().find(|path| body(path) && !named.contains(*path) || path.starts_with("staging/")) {
        Some(path) => Err(format!("left over: {path}")),
        None => Ok(()),
    }
}
