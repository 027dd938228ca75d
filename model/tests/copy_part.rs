//! A COPY in parts: complete it is one COPY, undone it leaves the destination as it was.

mod common;

use common::{ANN, Group};
use model::limits::COPIES_UNDONE_PER_ENTRY;
use model::mailbox::copy_part::{CopyPart, PartOrder, unfinished_copies};
use model::mailbox::{MailboxCommand, StoreMode};
use model::{OperationId, Refusal, Reply, UidSet};

const COPY: OperationId = OperationId([9; 16]);

fn part(shard: &mut Group, range: (u32, u32), order: PartOrder) -> Reply {
    let (source, destination) = (shard.folder("INBOX"), shard.folder("Archive"));
    let part = CopyPart { source, destination, uids: UidSet::from_ranges([range]), copy: COPY, order };
    shard.mailbox(MailboxCommand::CopyPart { account: ANN, part })
}

fn undo(shard: &mut Group) -> Reply {
    shard.mailbox(MailboxCommand::UndoCopy { account: ANN, copy: COPY })
}

fn unfinished(shard: &Group) -> usize {
    unfinished_copies(&shard.rows).unwrap().len()
}

#[test]
fn complete_it_is_there_and_nothing_is_remembered() {
    let mut shard = Group::shard();
    shard.append("INBOX", 9, 1, &["work"]);
    for (range, order) in [((1, 3), PartOrder::First), ((4, 6), PartOrder::Middle), ((7, 9), PartOrder::Last)] {
        let Reply::Copied { to, .. } = part(&mut shard, range, order) else { panic!("copied") };
        assert_eq!(to.ranges(), &[range]);
        assert_eq!(unfinished(&shard), usize::from(order != PartOrder::Last));
    }
    assert_eq!(shard.uids("Archive"), (1..=9).collect::<Vec<_>>());
    assert_eq!(undo(&mut shard), Reply::Reaped { more: false });
    assert_eq!(shard.uids("Archive").len(), 9, "a complete COPY cannot be undone");
}

#[test]
fn undone_the_destination_holds_what_it_held_and_later_parts_are_stale() {
    let mut shard = Group::shard();
    shard.append("INBOX", 9, 0, &[]);
    shard.append("Archive", 2, 0, &[]);
    part(&mut shard, (1, 3), PartOrder::First);
    shard.append("Archive", 1, 0, &[]);
    part(&mut shard, (4, 6), PartOrder::Middle);
    assert_eq!(shard.uids("Archive").len(), 9);
    assert_eq!(undo(&mut shard), Reply::Reaped { more: false });
    assert_eq!(shard.uids("Archive"), [1, 2, 6], "what others put there stays");
    assert_eq!(shard.folder_row("Archive").messages, 3);
    assert_eq!(part(&mut shard, (7, 9), PartOrder::Last), Reply::Refused(Refusal::Stale));
    assert_eq!((shard.uids("Archive").len(), unfinished(&shard)), (3, 0));
}

#[test]
fn undoing_takes_a_bounded_number_per_entry_and_passes_over_what_is_gone() {
    let mut shard = Group::shard();
    let many = COPIES_UNDONE_PER_ENTRY as u32 + 10;
    for _ in 0..many.div_ceil(200) {
        shard.append("INBOX", 200, 0, &[]);
    }
    part(&mut shard, (1, many), PartOrder::First);
    let folder = shard.folder("Archive");
    let (account, uids) = (ANN, UidSet::from_ranges([(1, 5)]));
    let delete = MailboxCommand::Store {
        account,
        folder,
        uids,
        mode: StoreMode::Add,
        flags: model::mailbox::row::flag::DELETED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    shard.mailbox(delete);
    shard.mailbox(MailboxCommand::Expunge { account, folder, uids: None });
    assert_eq!(undo(&mut shard), Reply::Reaped { more: true });
    assert_eq!(shard.uids("Archive").len(), 10);
    assert_eq!(undo(&mut shard), Reply::Reaped { more: false });
    assert_eq!((shard.uids("Archive").len(), unfinished(&shard)), (0, 0));
}

#[test]
fn a_destination_that_is_gone_ends_it() {
    let mut shard = Group::shard();
    shard.append("INBOX", 2, 0, &[]);
    part(&mut shard, (1, 1), PartOrder::First);
    shard.mailbox(MailboxCommand::DeleteFolder { account: ANN, name: "Archive".into() });
    assert_eq!(undo(&mut shard), Reply::Reaped { more: false });
    assert_eq!(unfinished(&shard), 0);
}

#[test]
fn a_removed_account_leaves_none() {
    let mut shard = Group::shard();
    shard.append("INBOX", 2, 0, &[]);
    part(&mut shard, (1, 1), PartOrder::First);
    shard.mailbox(MailboxCommand::RemoveAccount { account: ANN });
    while shard.mailbox(MailboxCommand::Reap { account: ANN }) == (Reply::Reaped { more: true }) {}
    assert!(shard.rows.rows().keys().all(|key| key[0] == b'O'), "only operations are remembered");
}
