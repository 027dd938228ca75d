//! Random but repeatable scripts of replicated commands and of what a node does around them.

use crate::sim::Power;
use model::command::Command;
use model::mailbox::row::flag;
use model::mailbox::{LocalRecipient, MailboxCommand, NewMessage, StoreMode};
use model::queue::row::{Content, DsnEnvelope, QueueRow};
use model::queue::{NewQueued, QueueCommand};
use model::{AccountId, BodyHash, BodyRef, Entry, FolderId, OperationId, UidSet};

/// One thing a node does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Proposes a command: stages its bodies, appends, and later applies.
    Propose(Box<Entry>),
    /// Applies what is appended.
    Apply,
    /// The second passes.
    Tick,
    /// Purges the log up to what is applied.
    Purge,
    /// Appends a record and takes it back.
    Retract(Box<Entry>),
    /// Makes a snapshot and drops it.
    Snapshot,
}

/// Bytes of a body by number: a few distinct ones, so that bodies are shared.
pub fn body_bytes(number: u64) -> Vec<u8> {
    format!("Subject: {number}\r\n\r\n").into_bytes().repeat(3 + number as usize)
}

pub fn body(number: u64, staged: bool) -> BodyRef {
    let bytes = body_bytes(number);
    let hash = BodyHash(*blake3::hash(&bytes).as_bytes());
    BodyRef { hash, size: bytes.len() as u64, inline: (!staged).then(|| bytes.into()) }
}

/// A script of `length` steps; the first makes two accounts.
pub fn script(seed: u64, length: usize) -> Vec<Step> {
    let power = Power::new(0, seed ^ 0x5eed);
    let dice = |end: u64| power.random(end);
    let mut steps = vec![Step::Propose(entry(0, create(1))), Step::Propose(entry(1, create(2)))];
    for at in 2..length as u64 {
        let step = match dice(20) {
            0..12 => Step::Propose(entry(at, command(at, &dice))),
            12..15 => Step::Apply,
            15..17 => Step::Tick,
            17 => Step::Purge,
            18 => Step::Retract(entry(at, command(at, &dice))),
            _ => Step::Snapshot,
        };
        steps.push(step);
    }
    steps
}

fn entry(at: u64, command: Command) -> Box<Entry> {
    Box::new(Entry { operation: operation(at), proposed_at: 1_700_000_000_000 + at * 1000, command })
}

fn operation(at: u64) -> OperationId {
    OperationId::new(1_700_000_000_000 + at * 1000, [at as u8; 10])
}

fn create(account: u64) -> Command {
    let address = format!("user{account}@example.org");
    Command::Mailbox(MailboxCommand::CreateAccount { account: AccountId(account), address })
}

fn command(at: u64, dice: &dyn Fn(u64) -> u64) -> Command {
    let account = AccountId(1 + dice(2));
    let folder = FolderId(1 + if dice(2) == 0 { 0 } else { dice(8) });
    let name = |dice: &dyn Fn(u64) -> u64| ["Work", "Work/Old", "Play", "Trash"][dice(4) as usize].to_owned();
    let uids = UidSet::from_ranges([(1 + dice(2) as u32, 1 + dice(4) as u32)]);
    Command::Mailbox(match dice(34) / 2 {
        0..4 => MailboxCommand::Deliver {
            message: operation(at),
            body: body(dice(4), dice(3) == 0),
            recipients: vec![
                LocalRecipient { account: AccountId(1), folder: None },
                LocalRecipient { account, folder: Some(name(dice)) },
            ],
        },
        4..6 => {
            let new = |number, staged| NewMessage {
                body: body(number, staged),
                flags: dice(2) * flag::SEEN,
                keywords: Vec::new(),
                internal_date: None,
                internal_zone: 0,
            };
            MailboxCommand::Append { account, folder, messages: vec![new(dice(4), dice(3) == 0), new(dice(4), false)] }
        }
        6..8 => MailboxCommand::Store {
            account,
            folder,
            uids,
            mode: [StoreMode::Replace, StoreMode::Add, StoreMode::Remove][dice(3) as usize],
            flags: [flag::SEEN, flag::DELETED, flag::FLAGGED | flag::DELETED, flag::ANSWERED][dice(4) as usize],
            keywords: if dice(3) == 0 { vec!["$Label1".into()] } else { Vec::new() },
            unchanged_since: None,
        },
        8..10 => MailboxCommand::Copy {
            account,
            source: folder,
            destination: FolderId(1 + dice(8)),
            uids,
            remove: dice(2) == 0,
        },
        10 => MailboxCommand::Expunge { account, folder, uids: None },
        11 => MailboxCommand::CreateFolder { account, name: name(dice), special_use: None },
        12 => MailboxCommand::DeleteFolder { account, name: name(dice) },
        13 => MailboxCommand::RenameFolder { account, from: name(dice), to: name(dice) },
        14 if dice(12) == 0 => MailboxCommand::RemoveAccount { account },
        14 => MailboxCommand::Reap { account },
        _ => return Command::Queue(queue_command(at, dice)),
    })
}

fn queue_command(at: u64, dice: &dyn Fn(u64) -> u64) -> QueueCommand {
    if dice(2) == 0 {
        return QueueCommand::Remove { message: operation(dice(at)) };
    }
    let body = body(dice(4), dice(2) == 0);
    let row = QueueRow {
        sender: String::new(),
        dsn: DsnEnvelope::default(),
        content: Content::default(),
        accepted_at: at,
        expires_at: u64::MAX,
        next_attempt_at: at,
        attempts: 0,
        delay_told: false,
        hash: body.hash,
        size: body.size,
        lease: None,
        recipients: vec![model::queue::row::QueueRecipient {
            address: "x@elsewhere.example".into(),
            original: None,
            notify: Default::default(),
            progress: model::queue::row::Progress::Pending,
            last_text: String::new(),
        }],
    };
    QueueCommand::Enqueue(vec![NewQueued { message: operation(at), body, row }])
}
