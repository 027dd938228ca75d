//! A mailbox with one client that does one thing after the other: every reading, on whatever node, must be exactly what
//! the client has made of it. Messages move between folders, are copied in parts and are expunged; none may come back,
//! double or vanish, and of a COPY that is undone none may stay.

use crate::sim::book::Mail;
use crate::sim::client::{Client, Seen, hash_of};
use cluster::runtime::sleep;
use model::mailbox::MailboxCommand;
use model::mailbox::StoreMode;
use model::mailbox::copy_part::{CopyPart, PartOrder};
use model::mailbox::row::flag;
use model::{AccountId, BodyHash, FolderId, Reply, Uid, UidSet};
use std::collections::BTreeMap;
use std::time::Duration;

type Folder = BTreeMap<Uid, (BodyHash, u64)>;

/// What the client knows of its account.
struct Expected {
    account: AccountId,
    inbox: (FolderId, Folder),
    archive: (FolderId, Folder),
}

/// Uses an account of its own for so many steps.
pub async fn run(mut client: Client, account: AccountId, steps: u64) {
    let address = format!("s{}@example.org", account.0);
    client.command(account, MailboxCommand::CreateAccount { account, address }).await;
    let (Some(inbox), Some(archive)) = (client.read(account, "INBOX").await, client.read(account, "Archive").await)
    else {
        client.world().violation(format!("account {} was made and has no folders", account.0));
        return;
    };
    let (inbox, archive) = ((inbox.folder, Folder::new()), (archive.folder, Folder::new()));
    let mut expected = Expected { account, inbox, archive };
    for _ in 0..steps {
        step(&mut client, &mut expected).await;
        if client.random().chance(60) {
            compare(&mut client, &expected).await;
        }
        let pause = Duration::from_millis(client.random().range(1, 400));
        sleep(pause).await;
    }
    compare(&mut client, &expected).await;
}

async fn step(client: &mut Client, expected: &mut Expected) {
    let uids: Vec<Uid> = expected.inbox.1.keys().copied().collect();
    let chosen = client.random().pick(&uids).copied();
    match (client.random().below(10), chosen) {
        (0..2, Some(uid)) => flag(client, expected, uid).await,
        (2..4, Some(uid)) => file(client, expected, uid).await,
        (4, Some(uid)) => expunge(client, expected, uid).await,
        (5, Some(_)) => copy_in_parts(client, expected).await,
        _ => append(client, expected).await,
    }
}

async fn append(client: &mut Client, expected: &mut Expected) {
    let bytes = client.write();
    let (account, hash) = (expected.account, hash_of(&bytes));
    client.world().book.lock().mail.insert((account, hash), Mail::Tried);
    let deliver = client.random().chance(50);
    let reply = if deliver {
        client.deliver(vec![account], bytes).await
    } else {
        client.append(account, expected.inbox.0, bytes).await
    };
    let uid = match &reply {
        Reply::Appended { uids, .. } => uids.iter().next(),
        Reply::Delivered(all) => all.first().and_then(|one| match one {
            model::reply::Delivered::In { uid, .. } => Some(*uid),
            _ => None,
        }),
        _ => None,
    };
    match uid {
        Some(uid) => drop(expected.inbox.1.insert(uid, (hash, 0))),
        None => unexpected(client, "a message was sent", &reply),
    }
}

async fn flag(client: &mut Client, expected: &mut Expected, uid: Uid) {
    let bits = [flag::SEEN, flag::FLAGGED, flag::ANSWERED];
    let bits = client.random().pick(&bits).copied().unwrap_or(flag::SEEN);
    let uids = UidSet::from_ranges([(uid, uid)]);
    let reply = client.store((expected.account, expected.inbox.0), uids, StoreMode::Add, bits).await;
    match (&reply, expected.inbox.1.get_mut(&uid)) {
        (Reply::Stored { .. }, Some((_, flags))) => *flags |= bits,
        _ => unexpected(client, "a flag was set", &reply),
    }
}

async fn file(client: &mut Client, expected: &mut Expected, uid: Uid) {
    let (account, source, destination) = (expected.account, expected.inbox.0, expected.archive.0);
    let uids = UidSet::from_ranges([(uid, uid)]);
    let reply =
        client.command(account, MailboxCommand::Copy { account, source, destination, uids, remove: true }).await;
    let to = match &reply {
        Reply::Copied { to, .. } => to.iter().next(),
        _ => None,
    };
    match (to, expected.inbox.1.remove(&uid)) {
        (Some(to), Some(moved)) => drop(expected.archive.1.insert(to, moved)),
        _ => unexpected(client, "a message was moved", &reply),
    }
}

async fn expunge(client: &mut Client, expected: &mut Expected, uid: Uid) {
    let (account, folder) = (expected.account, expected.inbox.0);
    let uids = UidSet::from_ranges([(uid, uid)]);
    client.store((account, folder), uids.clone(), StoreMode::Add, flag::DELETED).await;
    let reply = client.command(account, MailboxCommand::Expunge { account, folder, uids: Some(uids) }).await;
    expected.inbox.1.remove(&uid);
    if !matches!(&reply, Reply::Expunged { uids, .. } if uids.iter().eq([uid])) {
        unexpected(client, "a message was expunged", &reply);
    }
}

/// A COPY as a session makes it of many messages, one in each part. Half of them are undone before the last part.
async fn copy_in_parts(client: &mut Client, expected: &mut Expected) {
    let (account, source, destination) = (expected.account, expected.inbox.0, expected.archive.0);
    let messages: Vec<_> = expected.inbox.1.iter().map(|(uid, message)| (*uid, *message)).collect();
    let (copy, is_undone) = (client.operation(), client.random().chance(50));
    let mut made = Folder::new();
    for (at, (uid, message)) in messages.iter().enumerate() {
        let order = match at {
            0 => PartOrder::First,
            at if at + 1 == messages.len() && !is_undone => PartOrder::Last,
            _ => PartOrder::Middle,
        };
        let part = CopyPart { source, destination, uids: UidSet::from_ranges([(*uid, *uid)]), copy, order };
        let reply = client.command(account, MailboxCommand::CopyPart { account, part }).await;
        match &reply {
            Reply::Copied { to, .. } => made.extend(to.iter().map(|to| (to, *message))),
            _ => unexpected(client, "a part was copied", &reply),
        }
    }
    // A single message is the first part and never the last.
    if is_undone || messages.len() < 2 {
        while client.command(account, MailboxCommand::UndoCopy { account, copy }).await
            != (Reply::Reaped { more: false })
        {}
    } else {
        expected.archive.1.extend(made);
    }
}

async fn compare(client: &mut Client, expected: &Expected) {
    for (name, (_, messages)) in [("INBOX", &expected.inbox), ("Archive", &expected.archive)] {
        let seen = client.read(expected.account, name).await;
        let shown = seen.as_ref().map(shown);
        if shown.as_ref() != Some(messages) {
            let (number, account) = (client.number, expected.account.0);
            let difference = difference(messages, &shown.unwrap_or_default());
            client
                .world()
                .violation(format!("sequential: client {number} read {name} of account {account}: {difference}"));
        }
    }
}

fn shown(seen: &Seen) -> Folder {
    seen.messages.iter().map(|(uid, (state, hash))| (*uid, (*hash, state.flags))).collect()
}

fn difference(expected: &Folder, shown: &Folder) -> String {
    let missing: Vec<&Uid> = expected.keys().filter(|uid| !shown.contains_key(uid)).collect();
    let extra: Vec<&Uid> = shown.keys().filter(|uid| !expected.contains_key(uid)).collect();
    let other: Vec<&Uid> =
        expected.keys().filter(|uid| shown.get(uid).is_some_and(|at| Some(at) != expected.get(uid))).collect();
    format!("UIDs {missing:?} are missing, {extra:?} too many, {other:?} not as they were left")
}

fn unexpected(client: &Client, what: &str, reply: &Reply) {
    client.world().violation(format!("sequential: {what} and the answer was {reply:?}"));
}
