//! For tests: an account in memory, changed by the real rules.

use bytes::Bytes;
use model::mailbox::{MailboxCommand, NewMessage};
use model::memory::MemoryTxn;
use model::{AccountId, BodyHash, BodyRef, Command, Entry, GroupId, OperationId, Read, Reply};

/// One account with its first folders.
pub struct Sample {
    rows: MemoryTxn,
    index: u64,
    /// Whose.
    pub account: AccountId,
}

impl Sample {
    /// A fresh account.
    pub fn new() -> Self {
        let mut sample = Sample { rows: MemoryTxn::new(), index: 0, account: AccountId(7) };
        let address = "ann@example.org".to_owned();
        sample.apply(MailboxCommand::CreateAccount { account: sample.account, address });
        sample
    }

    /// Its rows.
    pub fn rows(&self) -> &dyn Read {
        &self.rows
    }

    /// Applies one command as the next log entry.
    pub fn apply(&mut self, command: MailboxCommand) -> Reply {
        self.index += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.index.to_be_bytes());
        let entry = Entry {
            operation: OperationId::new(1_000_000_000_000, random),
            proposed_at: 1_000_000_000_000 + self.index,
            command: Command::Mailbox(command),
        };
        model::apply(&mut self.rows, GroupId(1), self.index, &entry).unwrap().reply
    }

    /// Appends messages, one command each.
    pub fn append(&mut self, folder: &str, bodies: &[&str]) {
        let folder = super::views::folder_id(&self.rows, self.account, folder).unwrap().unwrap();
        for body in bodies {
            let inline = Bytes::copy_from_slice(body.as_bytes());
            let body =
                BodyRef { hash: BodyHash([body.len() as u8; 32]), size: body.len() as u64, inline: Some(inline) };
            let message = NewMessage { body, flags: 0, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
            self.apply(MailboxCommand::Append { account: self.account, folder, messages: vec![message] });
        }
    }
}
