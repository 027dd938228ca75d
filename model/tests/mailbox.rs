//! What each mailbox command does, one rule a test.

mod common;

use common::{ANN, Group, body, to};
use model::apply::Touch;
use model::mailbox::row::{SpecialUse, flag};
use model::mailbox::{LocalRecipient, MailboxCommand, StoreMode, maildir, view};
use model::reply::Delivered;
use model::{AccountId, Command, OperationId, Refusal, Reply, UidSet};

fn set(uids: impl IntoIterator<Item = u32>) -> UidSet {
    uids.into_iter().collect()
}

fn deliver(shard: &mut Group, id: u8, recipients: Vec<LocalRecipient>) -> Vec<Delivered> {
    let message = OperationId([id; 16]);
    match shard.mailbox(MailboxCommand::Deliver { message, body: body(id), recipients }) {
        Reply::Delivered(results) => results,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_account_starts_with_inbox_and_the_special_folders() {
    let shard = Group::shard();
    let folders = view::folders(&shard.rows, ANN).unwrap();
    let names: Vec<_> = folders.iter().map(|folder| folder.row.name.as_str()).collect();
    assert_eq!(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
    let sent = view::special(&shard.rows, ANN, Some(SpecialUse::Sent)).unwrap().unwrap();
    assert_eq!(sent.row.name, "Sent");
    assert_eq!(view::subscriptions(&shard.rows, ANN).unwrap().len(), 6);
}

#[test]
fn delivery_happens_once_per_message_and_account_i7() {
    let mut shard = Group::shard();
    let first = deliver(&mut shard, 1, vec![to(ANN)]);
    let again = deliver(&mut shard, 1, vec![to(ANN), to(AccountId(99))]);
    assert_eq!(first[0], again[0]);
    assert_eq!(again[1], Delivered::NoAccount);
    assert_eq!(shard.uids("INBOX"), [1]);
    deliver(&mut shard, 2, vec![to(ANN)]);
    assert_eq!(shard.uids("INBOX"), [1, 2]);
}

#[test]
fn delivery_goes_to_the_sub_addressed_folder_when_it_exists() {
    let mut shard = Group::shard();
    deliver(&mut shard, 1, vec![LocalRecipient { account: ANN, folder: Some("Archive".into()) }]);
    deliver(&mut shard, 2, vec![LocalRecipient { account: ANN, folder: Some("nowhere".into()) }]);
    assert_eq!((shard.uids("Archive"), shard.uids("INBOX")), (vec![1], vec![1]));
}

#[test]
fn a_retry_with_the_same_operation_acts_once_and_hears_the_same_i8() {
    let mut shard = Group::shard();
    let folder = shard.folder("INBOX");
    let append = shard.append("INBOX", 1, 0, &[]);
    let store = Command::Mailbox(MailboxCommand::Expunge { account: ANN, folder, uids: None });
    let entry = shard.entry(store);
    let before = shard.apply_entry(&entry);
    shard.append("INBOX", 1, flag::DELETED, &[]);
    let after = shard.apply_entry(&entry);
    assert_eq!(before.reply, after.reply);
    assert!(after.touched.is_empty() && after.changes.is_empty());
    assert_eq!(shard.uids("INBOX"), [1, 2]);
    assert!(matches!(append, Reply::Appended { .. }));
}

#[test]
fn counters_follow_flags_and_messages() {
    let mut shard = Group::shard();
    shard.append("INBOX", 3, flag::SEEN, &["$Forwarded"]);
    shard.append("INBOX", 2, flag::DELETED, &[]);
    let row = shard.folder_row("INBOX");
    assert_eq!((row.messages, row.unseen, row.deleted, row.bytes), (5, 2, 2, 303 + 201));
    assert_eq!(row.keywords, ["$Forwarded"]);
    let folder = shard.folder("INBOX");
    let reply = shard.mailbox(MailboxCommand::Expunge { account: ANN, folder, uids: None });
    assert!(matches!(reply, Reply::Expunged { ref uids, .. } if *uids == set([4, 5])));
    let row = shard.folder_row("INBOX");
    assert_eq!((row.messages, row.unseen, row.deleted, row.bytes, row.uidnext), (3, 0, 0, 303, 6));
}

#[test]
fn store_respects_unchanged_since_and_reports_only_changes() {
    let mut shard = Group::shard();
    shard.append("INBOX", 3, 0, &[]);
    let folder = shard.folder("INBOX");
    let since = shard.folder_row("INBOX").highest_modseq;
    let store = |uids: UidSet, flags, unchanged_since| MailboxCommand::Store {
        account: ANN,
        folder,
        uids,
        mode: StoreMode::Add,
        flags,
        keywords: vec!["work".into()],
        unchanged_since,
    };
    shard.mailbox(store(set([2]), flag::SEEN, None));
    let Reply::Stored { changed, modified, keywords, modseq } =
        shard.mailbox(store(set([1, 2, 3, 9]), flag::FLAGGED, Some(since)))
    else {
        panic!("not stored")
    };
    assert_eq!(changed.iter().map(|state| state.uid).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((modified, keywords), (set([2]), vec!["work".to_string()]));
    assert_eq!(modseq, shard.folder_row("INBOX").highest_modseq);
    let again = shard.mailbox(store(set([1]), flag::FLAGGED, None));
    assert!(matches!(again, Reply::Stored { ref changed, modseq: same, .. } if changed.is_empty() && same == modseq));
}

#[test]
fn copy_keeps_flags_and_maps_keywords_by_name() {
    let mut shard = Group::shard();
    shard.append("Archive", 1, 0, &["other"]);
    shard.append("INBOX", 2, flag::SEEN, &["work"]);
    let (source, destination) = (shard.folder("INBOX"), shard.folder("Archive"));
    let copy = |uids, remove| MailboxCommand::Copy { account: ANN, source, destination, uids, remove };
    let reply = shard.mailbox(copy(set([1, 5]), false));
    assert!(matches!(reply, Reply::Copied { ref from, ref to, .. } if *from == set([1]) && *to == set([2])));
    let row = shard.folder_row("Archive");
    assert_eq!(row.keywords, ["other", "work"]);
    let state = view::states(&shard.rows, ANN, destination).unwrap()[1];
    assert_eq!(state.flags, flag::SEEN | 1 << 9);
    shard.mailbox(copy(set([1, 2]), true));
    assert_eq!((shard.uids("INBOX"), shard.uids("Archive")), (vec![], vec![1, 2, 3, 4]));
}

#[test]
fn move_within_one_folder_gives_new_uids() {
    let mut shard = Group::shard();
    shard.append("INBOX", 2, 0, &["k"]);
    let inbox = shard.folder("INBOX");
    let uids = set([1]);
    shard.mailbox(MailboxCommand::Copy { account: ANN, source: inbox, destination: inbox, uids, remove: true });
    assert_eq!(shard.uids("INBOX"), [2, 3]);
    assert_eq!(shard.folder_row("INBOX").messages, 2);
}

#[test]
fn changes_since_hold_what_changed_and_what_vanished() {
    let mut shard = Group::shard();
    shard.append("INBOX", 4, flag::DELETED, &[]);
    let folder = shard.folder("INBOX");
    let since = shard.folder_row("INBOX").highest_modseq;
    shard.mailbox(MailboxCommand::Expunge { account: ANN, folder, uids: Some(set([2, 3])) });
    shard.append("INBOX", 1, 0, &[]);
    let changes = view::changes_since(&shard.rows, ANN, folder, since).unwrap().unwrap();
    assert_eq!(changes.vanished, set([2, 3]));
    assert_eq!(changes.changed.iter().map(|state| state.uid).collect::<Vec<_>>(), [5]);
    let nothing = view::changes_since(&shard.rows, ANN, folder, changes.row.highest_modseq).unwrap().unwrap();
    assert!(nothing.changed.is_empty() && nothing.vanished.is_empty());
}

#[test]
fn folders_are_made_with_parents_renamed_with_children_and_deleted_without() {
    let mut shard = Group::shard();
    let make = |name: &str| MailboxCommand::CreateFolder { account: ANN, name: name.into(), special_use: None };
    assert!(matches!(shard.mailbox(make("a/b/c")), Reply::Folder { .. }));
    assert_eq!(shard.mailbox(make("a/b")), Reply::Refused(Refusal::Exists));
    assert_eq!(shard.mailbox(make("inbox")), Reply::Refused(Refusal::Exists));
    assert_eq!(shard.mailbox(make("a//b")), Reply::Refused(Refusal::Invalid));
    shard.append("a/b/c", 1, 0, &[]);
    let uidvalidity = shard.folder_row("a/b/c").uidvalidity;
    let rename = |from: &str, to: &str| MailboxCommand::RenameFolder { account: ANN, from: from.into(), to: to.into() };
    assert_eq!(shard.mailbox(rename("a", "a/b/x")), Reply::Refused(Refusal::Cannot));
    assert_eq!(shard.mailbox(rename("a", "x/y")), Reply::Done);
    assert_eq!((shard.uids("x/y/b/c"), shard.folder_row("x/y/b/c").uidvalidity), (vec![1], uidvalidity));
    let delete = |name: &str| MailboxCommand::DeleteFolder { account: ANN, name: name.into() };
    assert_eq!(shard.mailbox(delete("x/y")), Reply::Refused(Refusal::Cannot));
    assert_eq!(shard.mailbox(delete("INBOX")), Reply::Refused(Refusal::Cannot));
    assert_eq!(shard.mailbox(delete("x/y/b/c")), Reply::Done);
    assert_eq!(
        shard.mailbox(make("x/y/b/c")),
        Reply::Folder { folder: model::FolderId(11), uidvalidity: uidvalidity + 2 }
    );
}

#[test]
fn uidvalidity_rises_when_a_folder_is_made_again_i6() {
    let mut shard = Group::shard();
    let mut last = 0;
    for _ in 0..5 {
        shard.mailbox(MailboxCommand::CreateFolder { account: ANN, name: "x".into(), special_use: None });
        let now = shard.folder_row("x").uidvalidity;
        assert!(now > last);
        last = now;
        shard.mailbox(MailboxCommand::DeleteFolder { account: ANN, name: "x".into() });
    }
}

#[test]
fn renaming_inbox_moves_its_messages() {
    let mut shard = Group::shard();
    shard.append("INBOX", 2, 0, &[]);
    shard.mailbox(MailboxCommand::RenameFolder { account: ANN, from: "INBOX".into(), to: "old".into() });
    assert_eq!((shard.uids("INBOX"), shard.uids("old")), (vec![], vec![1, 2]));
    assert_eq!(shard.folder_row("INBOX").uidnext, 3);
}

#[test]
fn a_removed_account_is_reaped_to_the_last_row() {
    let mut shard = Group::shard();
    shard.append("INBOX", 3, 0, &[]);
    shard.mailbox(MailboxCommand::RemoveAccount { account: ANN });
    assert_eq!(deliver(&mut shard, 9, vec![to(ANN)]), [Delivered::NoAccount]);
    while shard.mailbox(MailboxCommand::Reap { account: ANN }) == (Reply::Reaped { more: true }) {}
    let left: Vec<_> = shard.rows.rows().keys().filter(|key| key[0] != b'O').collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(maildir::account_directory(&shard.rows, ANN).unwrap(), None);
}

#[test]
fn too_many_keywords_are_refused_and_nothing_is_changed() {
    let mut shard = Group::shard();
    let names: Vec<String> = (0..57).map(|n| format!("k{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = shard.folder_row("INBOX");
    assert_eq!(shard.append("INBOX", 1, 0, &names), Reply::Refused(Refusal::Limit));
    assert_eq!(shard.folder_row("INBOX"), before);
}

#[test]
fn touched_rows_say_what_must_be_on_disk() {
    let mut shard = Group::shard();
    let folder = shard.folder("Sent");
    shard.append("Sent", 1, flag::SEEN, &[]);
    let file = maildir::message_file(&shard.rows, ANN, folder, 1).unwrap().unwrap();
    assert_eq!((file.flags.as_str(), file.size), ("S", 100));
    assert!(file.base.ends_with(",S=100"), "{}", file.base);
    assert_eq!(maildir::folder_directory(&shard.rows, ANN, folder).unwrap().as_deref(), Some(".Sent"));
    assert_eq!(maildir::account_directory(&shard.rows, ANN).unwrap().as_deref(), Some("example.org/ann~7"));
    let store = MailboxCommand::Store {
        account: ANN,
        folder,
        uids: set([1]),
        mode: StoreMode::Replace,
        flags: flag::FLAGGED,
        keywords: vec![],
        unchanged_since: None,
    };
    let outcome = shard.apply(Command::Mailbox(store));
    assert_eq!(outcome.touched, [Touch::Flags(ANN, folder, 1)]);
    assert_eq!(maildir::message_file(&shard.rows, ANN, folder, 1).unwrap().unwrap().flags, "F");
}

#[test]
fn operations_and_deliveries_are_forgotten_after_their_time() {
    let mut shard = Group::shard();
    deliver(&mut shard, 0, vec![to(ANN)]);
    let late = 1_900_000_000_000;
    for n in 0..16 {
        let command = MailboxCommand::Subscribe { account: ANN, name: "x".into(), on: true };
        let operation = OperationId::new(late + n, [n as u8; 10]);
        shard.apply_entry(&model::Entry { operation, proposed_at: late + n, command: Command::Mailbox(command) });
    }
    let kept: Vec<_> = shard.rows.rows().keys().filter(|key| matches!(key[0], b'O' | b'R')).collect();
    assert_eq!(kept.len(), 16, "{kept:?}");
}

#[test]
fn a_removed_folder_is_reaped_in_parts_with_everything_it_had() {
    for begun_by_the_release_before in [false, true] {
        let mut shard = Group::shard();
        shard.append("Junk", 9, 0, &[]);
        shard.append("Trash", 2, 0, &[]);
        let folder = shard.folder("Junk");
        let uids = UidSet::from_ranges([(2, 3)]);
        let (account, keywords, unchanged_since) = (ANN, Vec::new(), None);
        let (mode, flags) = (StoreMode::Add, flag::DELETED);
        shard.mailbox(MailboxCommand::Store { account, folder, uids, mode, flags, keywords, unchanged_since });
        shard.mailbox(MailboxCommand::Expunge { account, folder, uids: None });
        for name in ["Junk", "Trash"] {
            shard.mailbox(MailboxCommand::DeleteFolder { account, name: name.into() });
        }
        if begun_by_the_release_before {
            shard.mailbox(MailboxCommand::Reap { account });
        }
        let mut entries = 0;
        while shard.mailbox(MailboxCommand::ReapPart { account, count: 3 }) == (Reply::Reaped { more: true }) {
            entries += 1;
        }
        assert!(begun_by_the_release_before || entries >= 4, "three messages each: {entries}");
        let left = shard.rows.rows().keys().filter(|key| b"MUCXG".contains(&key[0])).count();
        assert_eq!(left, 0, "no row of the folders is left");
    }
}
