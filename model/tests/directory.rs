//! Domains, accounts, aliases, and where an address leads.

mod common;

use common::Group;
use model::directory::DirectoryCommand::{self, *};
use model::directory::row::{Credentials, ScramKeys};
use model::directory::view::{self, NoTarget, Target};
use model::{AccountId, Command, GroupId, Refusal, Reply};

fn credentials() -> Credentials {
    let scram = ScramKeys { salt: vec![1], iterations: 1, stored_key: [0; 32], server_key: [0; 32] };
    Credentials { argon2: "$argon2id$".into(), scram }
}

fn directory() -> Group {
    let mut directory = Group::new(GroupId::DIRECTORY);
    assert_eq!(run(&mut directory, AddDomain { name: "example.org".into() }), Reply::Done);
    assert_eq!(add(&mut directory, "ann@example.org"), Reply::Account(AccountId(1)));
    assert_eq!(add(&mut directory, "bob@example.org"), Reply::Account(AccountId(2)));
    directory
}

fn run(directory: &mut Group, command: DirectoryCommand) -> Reply {
    directory.apply(Command::Directory(command)).reply
}

fn add(directory: &mut Group, address: &str) -> Reply {
    let command = AddAccount { address: address.into(), shard: GroupId(3), credentials: credentials(), admin: false };
    run(directory, command)
}

fn alias(directory: &mut Group, address: &str, targets: &[&str]) -> Reply {
    let targets = targets.iter().map(|target| target.to_string()).collect();
    run(directory, SetAlias { address: address.into(), targets })
}

fn account(id: u64, address: &str, folder: Option<&str>) -> Target {
    Target::Account { account: AccountId(id), address: address.into(), folder: folder.map(Into::into) }
}

fn resolve(directory: &Group, address: &str) -> Result<Vec<Target>, NoTarget> {
    view::resolve(&directory.rows, address).unwrap()
}

#[test]
fn addresses_lead_to_accounts_folders_and_aliases() {
    let mut directory = directory();
    alias(&mut directory, "all@example.org", &["ann@example.org", "bob+lists@example.org", "out@side.test"]);
    assert_eq!(resolve(&directory, "ann@example.org"), Ok(vec![account(1, "ann@example.org", None)]));
    assert_eq!(resolve(&directory, "ann+x@example.org"), Ok(vec![account(1, "ann@example.org", Some("x"))]));
    assert_eq!(
        resolve(&directory, "all@example.org"),
        Ok(vec![
            account(1, "ann@example.org", None),
            account(2, "bob@example.org", Some("lists")),
            Target::Outside("out@side.test".into())
        ])
    );
    assert_eq!(resolve(&directory, "who@example.org"), Err(NoTarget::Unknown));
    assert_eq!(resolve(&directory, "who@else.test"), Err(NoTarget::NotLocal));
}

#[test]
fn alias_circles_end() {
    let mut directory = directory();
    alias(&mut directory, "a@example.org", &["b@example.org"]);
    alias(&mut directory, "b@example.org", &["a@example.org"]);
    assert_eq!(resolve(&directory, "a@example.org"), Err(NoTarget::Loop));
}

#[test]
fn a_catch_all_takes_what_nobody_else_does() {
    let mut directory = directory();
    run(&mut directory, SetCatchAll { domain: "example.org".into(), target: Some("bob@example.org".into()) });
    assert_eq!(resolve(&directory, "who@example.org"), Ok(vec![account(2, "bob@example.org", None)]));
    assert_eq!(resolve(&directory, "ann@example.org"), Ok(vec![account(1, "ann@example.org", None)]));
}

#[test]
fn wrong_changes_are_refused_with_their_reason() {
    let mut directory = directory();
    assert_eq!(add(&mut directory, "ann@example.org"), Reply::Refused(Refusal::Exists));
    assert_eq!(add(&mut directory, "ann@else.test"), Reply::Refused(Refusal::NotFound));
    assert_eq!(add(&mut directory, "ann"), Reply::Refused(Refusal::Invalid));
    assert_eq!(alias(&mut directory, "ann@example.org", &["x@y"]), Reply::Refused(Refusal::Exists));
    assert_eq!(run(&mut directory, RemoveDomain { name: "example.org".into() }), Reply::Refused(Refusal::Cannot));
    assert_eq!(run(&mut directory, AddDomain { name: "example.org".into() }), Reply::Refused(Refusal::Exists));
    let wrong_group = Group::new(GroupId(1)).apply(Command::Directory(AddDomain { name: "x".into() }));
    assert_eq!(wrong_group.reply, Reply::Refused(Refusal::WrongGroup));
}

#[test]
fn account_ids_are_never_reused() {
    let mut directory = directory();
    assert_eq!(run(&mut directory, RemoveAccount { address: "bob@example.org".into() }), Reply::Account(AccountId(2)));
    assert_eq!(add(&mut directory, "bob@example.org"), Reply::Account(AccountId(3)));
    let ids: Vec<_> = view::accounts(&directory.rows).unwrap().into_iter().map(|(id, _)| id.0).collect();
    assert_eq!(ids, [1, 3]);
}

#[test]
fn accounts_are_paged_by_address_and_the_first_that_administers_is_found() {
    let mut directory = Group::new(GroupId::DIRECTORY);
    let mut change = |command| directory.apply(Command::Directory(command)).reply;
    for name in ["a.example", "b.example"] {
        change(DirectoryCommand::AddDomain { name: name.into() });
    }
    let credentials = Credentials {
        argon2: String::new(),
        scram: ScramKeys { salt: Vec::new(), iterations: 0, stored_key: [0; 32], server_key: [0; 32] },
    };
    let addresses = ["zoe@a.example", "ann@b.example", "ann@a.example", "anna@a.example"];
    for (at, address) in addresses.iter().enumerate() {
        let (address, credentials) = (address.to_string(), credentials.clone());
        change(DirectoryCommand::AddAccount { address, shard: GroupId(1), credentials, admin: at >= 2 });
    }
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = view::accounts_by_address(&directory.rows, after.as_deref(), 2).unwrap();
        let Some((_, last)) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.address.clone());
        seen.extend(page.into_iter().map(|(_, row)| row.address));
    }
    assert_eq!(seen, ["ann@a.example", "anna@a.example", "zoe@a.example", "ann@b.example"]);
    assert_eq!(view::first_admin(&directory.rows).unwrap().unwrap().1.address, "ann@a.example");
}
