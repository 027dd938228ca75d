//! Random sequences of commands: whatever is proposed, the rows stay consistent and replicas stay equal.

mod common;

use common::{ANN, Group, body, to};
use model::mailbox::copy_part::{CopyPart, PartOrder};
use model::mailbox::row::{self, MessageState};
use model::mailbox::{LocalRecipient, MailboxCommand, NewMessage, StoreMode, view};
use model::{AccountId, Command, FolderId, OperationId, UidSet, codec, key};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn uids() -> impl Strategy<Value = UidSet> {
    prop::collection::vec((1u32..12, 1u32..12), 0..4).prop_map(UidSet::from_ranges)
}

fn folder() -> impl Strategy<Value = FolderId> {
    (1u64..9).prop_map(FolderId)
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["INBOX", "inbox", "Sent", "a", "a/b", "a/b/c", "x", "", "a//b"]).prop_map(String::from)
}

fn keywords() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(vec!["work", "$Junk", "home"]).prop_map(String::from), 0..3)
}

fn order() -> impl Strategy<Value = PartOrder> {
    prop::sample::select(vec![PartOrder::First, PartOrder::Middle, PartOrder::Last])
}

fn command() -> impl Strategy<Value = MailboxCommand> {
    let account = ANN;
    let mode = prop::sample::select(vec![StoreMode::Add, StoreMode::Remove, StoreMode::Replace]);
    let new = (0u8..4, 0u64..64, keywords()).prop_map(|(n, flags, keywords)| NewMessage {
        body: body(n),
        flags,
        keywords,
        internal_date: None,
        internal_zone: 0,
    });
    let recipient = prop::option::of(name()).prop_map(|folder| LocalRecipient { folder, ..to(ANN) });
    prop_oneof![
        4 => (0u8..20, recipient).prop_map(|(id, recipient)| MailboxCommand::Deliver {
            message: OperationId([id; 16]), body: body(id), recipients: vec![recipient, to(AccountId(99))] }),
        4 => (folder(), prop::collection::vec(new, 1..4))
            .prop_map(move |(folder, messages)| MailboxCommand::Append { account, folder, messages }),
        4 => (folder(), uids(), mode, 0u64..64, keywords(), prop::option::of(0u64..9)).prop_map(
            move |(folder, uids, mode, flags, keywords, unchanged_since)| MailboxCommand::Store {
                account, folder, uids, mode, flags, keywords, unchanged_since }),
        4 => (folder(), folder(), uids(), any::<bool>()).prop_map(move |(source, destination, uids, remove)|
            MailboxCommand::Copy { account, source, destination, uids, remove }),
        2 => (folder(), prop::option::of(uids()))
            .prop_map(move |(folder, uids)| MailboxCommand::Expunge { account, folder, uids }),
        2 => name().prop_map(move |name| MailboxCommand::CreateFolder { account, name, special_use: None }),
        1 => name().prop_map(move |name| MailboxCommand::DeleteFolder { account, name }),
        1 => (name(), name()).prop_map(move |(from, to)| MailboxCommand::RenameFolder { account, from, to }),
        1 => (name(), any::<bool>()).prop_map(move |(name, on)| MailboxCommand::Subscribe { account, name, on }),
        2 => (folder(), folder(), uids(), 0u8..3, order()).prop_map(move |(source, destination, uids, copy, order)| {
            let part = CopyPart { source, destination, uids, copy: OperationId([copy; 16]), order };
            MailboxCommand::CopyPart { account, part }
        }),
        1 => (0u8..3).prop_map(move |copy| MailboxCommand::UndoCopy { account, copy: OperationId([copy; 16]) }),
        1 => Just(MailboxCommand::Reap { account }),
        2 => (0u32..4).prop_map(move |count| MailboxCommand::ReapPart { account, count }),
        1 => Just(MailboxCommand::CreateAccount { account, address: "ann@example.org".into() }),
    ]
}

/// UIDNEXT, MODSEQ and UIDVALIDITY of every folder.
fn marks(shard: &Group) -> BTreeMap<FolderId, (u32, u64, u32)> {
    let folders = view::folders(&shard.rows, ANN).unwrap();
    folders.into_iter().map(|f| (f.id, (f.row.uidnext, f.row.highest_modseq, f.row.uidvalidity))).collect()
}

fn check_folder(shard: &Group, id: FolderId, row: &row::FolderRow) {
    let states = view::states(&shard.rows, ANN, id).unwrap();
    let unseen = states.iter().filter(|s| s.flags & row::flag::SEEN == 0).count() as u64;
    let deleted = states.iter().filter(|s| s.flags & row::flag::DELETED != 0).count() as u64;
    let mut bytes = 0;
    for MessageState { uid, modseq, flags } in &states {
        let message = row::message(&shard.rows, ANN, id, *uid).unwrap().expect("a state has its message");
        bytes += message.size;
        assert!(*uid < row.uidnext && *modseq <= row.highest_modseq);
        assert!(*flags < 1 << (8 + row.keywords.len()), "every keyword bit is in the table");
        assert!(shard.rows.rows().contains_key(&key::change(ANN, id, *modseq, *uid)));
    }
    assert_eq!((row.messages, row.unseen, row.deleted, row.bytes), (states.len() as u64, unseen, deleted, bytes));
    let everything = view::changes_since(&shard.rows, ANN, id, 0).unwrap().unwrap();
    assert_eq!(everything.changed, states, "the change index names exactly the messages there are");
    assert!(states.iter().all(|state| !everything.vanished.contains(state.uid)));
    assert_eq!(everything.vanished.len() + states.len() as u64, u64::from(row.uidnext) - 1, "no UID is forgotten");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_keep_the_index_consistent(commands in prop::collection::vec(command(), 1..40)) {
        let (mut one, mut two) = (Group::shard(), Group::shard());
        let mut last = marks(&one);
        for command in commands {
            let entry = one.entry(Command::Mailbox(command));
            let bytes = codec::encode(&entry);
            prop_assert_eq!(&codec::decode::<model::Entry>(&bytes).unwrap(), &entry);
            let outcome = one.apply_entry(&entry);
            prop_assert_eq!(&outcome, &two.apply_entry(&entry));
            let now = marks(&one);
            for (folder, (uidnext, modseq, uidvalidity)) in &last {
                if let Some(after) = now.get(folder) {
                    prop_assert!(after.0 >= *uidnext && after.1 >= *modseq && after.2 == *uidvalidity, "I6");
                }
            }
            last = now;
        }
        prop_assert_eq!(one.rows.rows(), two.rows.rows(), "I3");
        for folder in view::folders(&one.rows, ANN).unwrap() {
            check_folder(&one, folder.id, &folder.row);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = codec::decode::<model::Entry>(&bytes);
        let _ = codec::decode::<model::Reply>(&bytes);
        let _ = codec::decode::<row::FolderRow>(&bytes);
    }
}
