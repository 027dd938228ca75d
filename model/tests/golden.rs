//! A frozen log: its bytes and the rows it leads to must be the same in every later release (I3, mixed versions).
//!
//! When this fails, replicas of two releases would disagree. Do not change the figures: add a new command or format instead.

mod common;

use common::{ANN, Group, body, to};
use model::mailbox::{LocalRecipient, MailboxCommand, StoreMode};
use model::{Command, OperationId, UidSet, codec};

/// FNV-1a, 64 bits: enough to notice a change, and nothing to depend on.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn log(shard: &Group) -> Vec<MailboxCommand> {
    let (account, inbox, sent) = (ANN, shard.folder("INBOX"), shard.folder("Sent"));
    let uids = UidSet::from_ranges([(1, 2), (4, 9)]);
    let keywords = vec!["$Forwarded".to_string(), "work".to_string()];
    let recipients = vec![to(ANN), LocalRecipient { account: ANN, folder: Some("Archive".into()) }];
    vec![
        MailboxCommand::Deliver { message: OperationId([7; 16]), body: body(1), recipients },
        MailboxCommand::Deliver { message: OperationId([8; 16]), body: body(2), recipients: vec![to(ANN)] },
        MailboxCommand::CreateFolder { account, name: "Projects/2026".into(), special_use: None },
        MailboxCommand::Store {
            account,
            folder: inbox,
            uids: uids.clone(),
            mode: StoreMode::Add,
            flags: 3,
            keywords,
            unchanged_since: Some(9),
        },
        MailboxCommand::Copy { account, source: inbox, destination: sent, uids: uids.clone(), remove: false },
        MailboxCommand::Copy { account, source: sent, destination: inbox, uids: uids.clone(), remove: true },
        MailboxCommand::Expunge { account, folder: inbox, uids: None },
        MailboxCommand::RenameFolder { account, from: "Projects".into(), to: "Old/Projects".into() },
        MailboxCommand::DeleteFolder { account, name: "Old/Projects/2026".into() },
        MailboxCommand::Subscribe { account, name: "Old".into(), on: true },
        MailboxCommand::Reap { account },
    ]
}

#[test]
fn the_frozen_log_has_the_same_bytes_and_leads_to_the_same_rows() {
    let mut shard = Group::shard();
    let mut bytes = Vec::new();
    for command in log(&shard) {
        let entry = shard.entry(Command::Mailbox(command));
        bytes.extend(codec::encode(&entry));
        shard.apply_entry(&entry);
    }
    let rows = shard.rows.rows().iter().flat_map(|(key, value)| key.iter().chain(value).copied());
    assert_eq!(format!("{:016x} {:016x}", hash(bytes), hash(rows)), "999c2b5aa76185ba 6b4ddf77925ef104");
}
