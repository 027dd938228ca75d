//! Accounts from another server: each alone, with its aliases or not at all; the hashes that they came with; their bytes.

mod common;

use common::Group;
use model::directory::DirectoryCommand::{self, *};
use model::directory::import::NewAccount;
use model::directory::row::{AccountRow, Credentials, ScramKeys, key};
use model::directory::view;
use model::limits::*;
use model::{AccountId, Command, GroupId, Imported, Read, Refusal, Reply, codec};
use serde::Serialize;

fn directory() -> Group {
    let mut directory = Group::new(GroupId::DIRECTORY);
    assert_eq!(run(&mut directory, AddDomain { name: "example.org".into() }), Reply::Done);
    directory
}

fn run(directory: &mut Group, command: DirectoryCommand) -> Reply {
    directory.apply(Command::Directory(command)).reply
}

fn new(address: &str, aliases: &[&str]) -> NewAccount {
    NewAccount {
        address: address.into(),
        name: String::new(),
        shard: GroupId(3),
        credentials: Credentials::foreign("{SSHA512}abc".into()),
        admin: false,
        aliases: aliases.iter().map(|alias| alias.to_string()).collect(),
    }
}

fn import(directory: &mut Group, accounts: &[NewAccount]) -> Vec<Imported> {
    match run(directory, ImportAccounts { accounts: accounts.to_vec() }) {
        Reply::Imported(results) => results,
        reply => panic!("{reply:?}"),
    }
}

fn own() -> Credentials {
    let scram = ScramKeys { salt: vec![1; 16], iterations: 4096, stored_key: [2; 32], server_key: [3; 32] };
    Credentials { argon2: "$argon2id$".into(), scram }
}

fn row(directory: &Group, address: &str) -> AccountRow {
    view::account_by_address(&directory.rows, address).unwrap().unwrap_or_else(|| panic!("no {address}")).1
}

#[test]
fn accounts_are_made_with_names_hashes_and_aliases() {
    let mut directory = directory();
    let ann = NewAccount { name: "Ann Ö.".into(), admin: true, ..new("ann@example.org", &["a@example.org"]) };
    let results = import(&mut directory, &[ann, new("bob@example.org", &[])]);
    assert_eq!(results, [Imported::Made(AccountId(1)), Imported::Made(AccountId(2))]);
    let ann = row(&directory, "ann@example.org");
    assert_eq!((ann.name.as_str(), ann.admin, ann.enabled, ann.shard), ("Ann Ö.", true, true, GroupId(3)));
    assert!(ann.credentials.is_foreign());
    assert_eq!(view::alias(&directory.rows, "a@example.org").unwrap().unwrap().targets, ["ann@example.org"]);
}

#[test]
fn a_refused_account_changes_nothing_and_stops_no_other() {
    let mut directory = directory();
    import(&mut directory, &[new("ann@example.org", &["a@example.org"])]);
    run(&mut directory, SetAlias { address: "two@example.org".into(), targets: vec!["x@y".into(), "z@y".into()] });
    let before = directory.rows.rows().clone();
    let with = |change: fn(&mut NewAccount)| {
        let mut account = new("new@example.org", &["n@example.org"]);
        change(&mut account);
        account
    };
    let wrong = [
        (new("ann@example.org", &["n@example.org"]), Refusal::Exists),
        (new("a@example.org", &[]), Refusal::Exists),
        (new("new@else.test", &[]), Refusal::NotFound),
        (new("new", &[]), Refusal::Invalid),
        (new("new@example.org", &["n@example.org", "a@example.org"]), Refusal::Exists),
        (new("new@example.org", &["n@example.org", "two@example.org"]), Refusal::Exists),
        (new("new@example.org", &["n@example.org", "ann@example.org"]), Refusal::Exists),
        (new("new@example.org", &["new@example.org"]), Refusal::Exists),
        (new("new@example.org", &["n@example.org", "n@else.test"]), Refusal::NotFound),
        (new("new@example.org", &["n"]), Refusal::Invalid),
        (with(|account| account.shard = GroupId(SHARDS + 1)), Refusal::Invalid),
        (with(|account| account.shard = GroupId::DIRECTORY), Refusal::Invalid),
        (with(|account| account.name = "n".repeat(ACCOUNT_NAME_BYTES_MAX + 1)), Refusal::Limit),
        (with(|account| account.credentials.argon2 = "h".repeat(PASSWORD_HASH_BYTES_MAX + 1)), Refusal::Limit),
        (with(|account| account.credentials.scram.salt = vec![0; SCRAM_SALT_BYTES_MAX + 1]), Refusal::Limit),
        (with(|account| account.aliases = vec!["n@example.org".into(); ALIASES_PER_IMPORTED_MAX + 1]), Refusal::Limit),
    ];
    let accounts: Vec<_> = wrong.iter().map(|(account, _)| account.clone()).collect();
    let expected: Vec<_> = wrong.iter().map(|(_, refusal)| Imported::Refused(*refusal)).collect();
    assert_eq!(import(&mut directory, &accounts), expected);
    let accounts_and_aliases = |rows: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>| {
        rows.iter()
            .filter(|(key, _)| b"ailc".contains(&key[0]))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(accounts_and_aliases(directory.rows.rows()), accounts_and_aliases(&before));

    let mixed = [new("ann@example.org", &[]), new("bob@example.org", &[])];
    assert_eq!(import(&mut directory, &mixed), [Imported::Refused(Refusal::Exists), Imported::Made(AccountId(2))]);
}

#[test]
fn an_alias_that_leads_there_already_is_no_obstacle() {
    let mut directory = directory();
    run(&mut directory, SetAlias { address: "a@example.org".into(), targets: vec!["ann@example.org".into()] });
    let ann = new("ann@example.org", &["a@example.org", "a@example.org"]);
    assert_eq!(import(&mut directory, &[ann]), [Imported::Made(AccountId(1))]);
}

#[test]
fn an_entry_has_a_bound() {
    let many = vec![new("ann@example.org", &[]); IMPORTED_PER_ENTRY_MAX + 1];
    assert_eq!(run(&mut directory(), ImportAccounts { accounts: many }), Reply::Refused(Refusal::Limit));
}

#[test]
fn only_the_hash_that_was_verified_is_replaced() {
    let mut directory = directory();
    let ann = NewAccount { name: "Ann".into(), ..new("ann@example.org", &[]) };
    import(&mut directory, &[ann]);
    let replace = |expected: &str| ReplaceHash {
        address: "ann@example.org".into(),
        expected: expected.into(),
        credentials: own(),
    };
    assert_eq!(run(&mut directory, replace("{SSHA512}other")), Reply::Refused(Refusal::Stale));
    assert!(row(&directory, "ann@example.org").credentials.is_foreign());
    assert_eq!(run(&mut directory, replace("{SSHA512}abc")), Reply::Done);
    let ann = row(&directory, "ann@example.org");
    assert!(ann.credentials == own() && !ann.credentials.is_foreign());
    assert_eq!(ann.name, "Ann");
    assert_eq!(run(&mut directory, replace("{SSHA512}abc")), Reply::Refused(Refusal::Stale));
    let unknown = ReplaceHash { address: "bob@example.org".into(), expected: String::new(), credentials: own() };
    assert_eq!(run(&mut directory, unknown), Reply::Refused(Refusal::NotFound));
}

#[test]
fn a_new_password_keeps_the_name() {
    let mut directory = directory();
    import(&mut directory, &[NewAccount { name: "Ann".into(), ..new("ann@example.org", &[]) }]);
    run(&mut directory, SetCredentials { address: "ann@example.org".into(), credentials: own() });
    let ann = row(&directory, "ann@example.org");
    assert!(ann.credentials == own());
    assert_eq!(ann.name, "Ann");
}

#[test]
fn pages_follow_one_another() {
    let mut directory = directory();
    let accounts: Vec<_> = (0..7)
        .map(|n| {
            let mut account = new(&format!("u{n}@example.org"), &[]);
            account.aliases = vec![format!("a{n}@example.org")];
            account
        })
        .collect();
    import(&mut directory, &accounts);
    run(&mut directory, RemoveAccount { address: "u3@example.org".into() });
    let (mut ids, mut after) = (Vec::new(), AccountId(0));
    while let Some((last, _)) = view::accounts_after(&directory.rows, after, 2).unwrap().last() {
        ids.extend(view::accounts_after(&directory.rows, after, 2).unwrap().iter().map(|(id, _)| id.0));
        after = *last;
    }
    assert_eq!(ids, [1, 2, 3, 5, 6, 7]);
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = view::aliases_after(&directory.rows, after.as_deref(), 3).unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        names.extend(page.into_iter().map(|(name, _)| name));
    }
    assert_eq!(names.len(), 7);
    assert_eq!(names, view::aliases(&directory.rows).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
}

/// The account row of the releases before names.
#[derive(Serialize)]
struct FirstAccountRow {
    address: String,
    shard: GroupId,
    created_at: u64,
    credentials: Credentials,
    admin: bool,
    enabled: bool,
}

#[test]
fn a_row_without_a_name_keeps_the_bytes_of_the_first_release() {
    let old = FirstAccountRow {
        address: "ann@example.org".into(),
        shard: GroupId(3),
        created_at: 77,
        credentials: own(),
        admin: true,
        enabled: true,
    };
    let row = AccountRow {
        address: old.address.clone(),
        shard: old.shard,
        created_at: 77,
        credentials: own(),
        admin: true,
        enabled: true,
        name: String::new(),
    };
    assert_eq!(row.encode(), codec::encode(&old));
    assert_eq!(AccountRow::decode(&codec::encode(&old)).unwrap(), row);
    let named = AccountRow { name: "Ann".into(), ..row };
    assert_eq!(named.encode()[0], 2);
    assert_eq!(AccountRow::decode(&named.encode()).unwrap(), named);
    assert!(AccountRow::decode(&[3, 1, 2]).is_err());
    assert!(AccountRow::decode(&[]).is_err());

    let mut directory = directory();
    let add = AddAccount { address: "ann@example.org".into(), shard: GroupId(3), credentials: own(), admin: true };
    run(&mut directory, add);
    let stored = directory.rows.get(&key::account(AccountId(1))).unwrap().unwrap();
    let created_at = AccountRow::decode(&stored).unwrap().created_at;
    assert_eq!(stored, codec::encode(&FirstAccountRow { created_at, ..old }));
}

/// FNV-1a, 64 bits.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// As in `golden.rs`: when this fails, replicas of two releases would disagree. Do not change the figures.
#[test]
fn the_frozen_entries_have_the_same_bytes_and_lead_to_the_same_rows() {
    let mut directory = directory();
    let ann = NewAccount { name: "Ann".into(), admin: true, ..new("ann@example.org", &["a@example.org"]) };
    let replace =
        ReplaceHash { address: "ann@example.org".into(), expected: "{SSHA512}abc".into(), credentials: own() };
    let accounts = vec![ann, new("ann@example.org", &[]), new("bob@example.org", &[])];
    let (mut bytes, mut replies) = (Vec::new(), Vec::new());
    for command in [ImportAccounts { accounts }, replace] {
        let entry = directory.entry(Command::Directory(command));
        bytes.extend(codec::encode(&entry));
        replies.extend(codec::encode(&directory.apply_entry(&entry).reply));
    }
    let rows = directory.rows.rows().iter().flat_map(|(key, value)| key.iter().chain(value).copied());
    assert_eq!(
        format!("{:016x} {:016x} {:016x}", hash(bytes), hash(replies), hash(rows)),
        "643888a648acccbb 3cf11aa5881e54ed 3e8f85dd44f09fe4"
    );
}
