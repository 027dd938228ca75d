//! A shard or directory in memory with a log index that counts up, for the tests of the rules.
#![allow(dead_code)]

use model::mailbox::{LocalRecipient, MailboxCommand, NewMessage, view};
use model::memory::MemoryTxn;
use model::{AccountId, BodyHash, BodyRef, Command, Entry, FolderId, GroupId, OperationId, Outcome, Reply, apply};

pub const ANN: AccountId = AccountId(7);

pub struct Group {
    pub rows: MemoryTxn,
    pub group: GroupId,
    pub index: u64,
}

impl Group {
    pub fn new(group: GroupId) -> Self {
        Group { rows: MemoryTxn::new(), group, index: 0 }
    }

    /// A shard with ann's account in it.
    pub fn shard() -> Self {
        let mut shard = Group::new(GroupId(1));
        let reply = shard.mailbox(MailboxCommand::CreateAccount { account: ANN, address: "ann@example.org".into() });
        assert_eq!(reply, Reply::Done);
        shard
    }

    pub fn entry(&self, command: Command) -> Entry {
        let at = 1_700_000_000_000 + self.index * 10;
        Entry { operation: OperationId::new(at, [self.index as u8; 10]), proposed_at: at, command }
    }

    pub fn apply_entry(&mut self, entry: &Entry) -> Outcome {
        self.index += 1;
        apply(&mut self.rows, self.group, self.index, entry).expect("memory rows are readable")
    }

    pub fn apply(&mut self, command: Command) -> Outcome {
        let entry = self.entry(command);
        self.apply_entry(&entry)
    }

    pub fn mailbox(&mut self, command: MailboxCommand) -> Reply {
        self.apply(Command::Mailbox(command)).reply
    }

    pub fn folder(&self, name: &str) -> FolderId {
        view::folder_by_name(&self.rows, ANN, name).unwrap().unwrap_or_else(|| panic!("no folder {name}")).id
    }

    pub fn folder_row(&self, name: &str) -> model::mailbox::row::FolderRow {
        view::folder_by_name(&self.rows, ANN, name).unwrap().unwrap().row
    }

    pub fn uids(&self, name: &str) -> Vec<u32> {
        view::states(&self.rows, ANN, self.folder(name)).unwrap().iter().map(|state| state.uid).collect()
    }

    /// Appends `count` messages with these flags and keywords.
    pub fn append(&mut self, name: &str, count: u8, flags: u64, keywords: &[&str]) -> Reply {
        let folder = self.folder(name);
        let message = |n: u8| NewMessage {
            body: body(n),
            flags,
            keywords: keywords.iter().map(|k| k.to_string()).collect(),
            internal_date: Some(5),
            internal_zone: 60,
        };
        self.mailbox(MailboxCommand::Append { account: ANN, folder, messages: (0..count).map(message).collect() })
    }
}

pub fn body(n: u8) -> BodyRef {
    BodyRef { hash: BodyHash([n; 32]), size: 100 + u64::from(n), inline: Some(vec![n; 3].into()) }
}

pub fn to(account: AccountId) -> LocalRecipient {
    LocalRecipient { account, folder: None }
}
