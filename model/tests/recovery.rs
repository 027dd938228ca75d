//! Going on with one node of many, and formats that come into use.

mod common;

use common::Group;
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand::{self, *};
use model::directory::recovery::Recovery;
use model::directory::row::{Credentials, NodeFacts, NodeState, ScramKeys};
use model::directory::view;
use model::{AccountId, Command, GroupId, NodeId, Refusal, Reply};

const SHARD: GroupId = GroupId(4);
const LOST: GroupId = GroupId(5);

fn run(directory: &mut Group, command: MemberCommand) -> Reply {
    run_any(directory, DirectoryCommand::Members(command))
}

fn run_any(directory: &mut Group, command: DirectoryCommand) -> Reply {
    directory.apply(Command::Directory(command)).reply
}

fn facts(name: &str, key: u8, format: u32) -> NodeFacts {
    let hostname = format!("{name}.example.org");
    NodeFacts { name: name.into(), hostname, version: "1".into(), address: "h:7025".into(), key: [key; 32], format }
}

fn admit(directory: &mut Group, name: &str, key: u8, format: u32) -> Reply {
    let invite = Invite { token: [key; 8], key: [key; 32], expires_at: u64::MAX };
    assert_eq!(run(directory, invite), Reply::Done);
    run(directory, Admit { token: [key; 8], facts: facts(name, key, format) })
}

/// Nodes "one" and "two"; "one" has the directory and [`SHARD`], "two" has [`LOST`].
fn two_nodes() -> Group {
    let mut directory = Group::new(GroupId::DIRECTORY);
    let replicas = vec![(GroupId::DIRECTORY, 1), (SHARD, 2), (LOST, 3)];
    assert_eq!(run(&mut directory, Form { node: NodeId(1), replicas }), Reply::Done);
    assert_eq!(run(&mut directory, Announce { node: NodeId(1), facts: facts("one", 1, 2) }), Reply::Done);
    assert_eq!(admit(&mut directory, "two", 2, 2), Reply::Node(NodeId(2)));
    let place = Place { group: LOST, revision: 1, add: Some(NodeId(2)), remove: Some(NodeId(1)) };
    assert_eq!(run(&mut directory, place), Reply::Done);
    directory
}

fn account(directory: &mut Group, address: &str, shard: GroupId) -> AccountId {
    let scram = ScramKeys { salt: vec![1], iterations: 1, stored_key: [0; 32], server_key: [0; 32] };
    let credentials = Credentials { argon2: "x".into(), scram };
    run_any(directory, DirectoryCommand::AddDomain { name: "example.org".into() });
    let add = DirectoryCommand::AddAccount { address: address.into(), shard, credentials, admin: false };
    match run_any(directory, add) {
        Reply::Account(account) => account,
        reply => panic!("{reply:?}"),
    }
}

fn recovery(first_replica: u64) -> MemberCommand {
    let replicas = [GroupId::DIRECTORY, SHARD, LOST].into_iter().zip(first_replica..).collect();
    Recover(Recovery { node: NodeId(1), replicas, lost: vec![LOST], accounts_skipped: 1000 })
}

#[test]
fn the_survivor_is_left_alone_with_new_replicas_and_the_others_never_come_back() {
    let mut directory = two_nodes();
    run(&mut directory, SetState { node: NodeId(1), state: NodeState::Draining });
    run(&mut directory, Invite { token: [9; 8], key: [9; 32], expires_at: u64::MAX });
    assert_eq!(run(&mut directory, recovery(100)), Reply::Done);
    let nodes = view::nodes(&directory.rows).unwrap();
    let states: Vec<_> = nodes.values().map(|row| row.state).collect();
    assert_eq!(states, [NodeState::Active, NodeState::Removed]);
    let groups = view::groups(&directory.rows).unwrap();
    for (group, replica) in [(GroupId::DIRECTORY, 100), (SHARD, 101), (LOST, 102)] {
        let places: Vec<_> = groups[&group].replicas.iter().map(|place| (place.replica, place.node.0)).collect();
        assert_eq!(places, [(replica, 1)]);
    }
    assert!(view::tokens(&directory.rows).unwrap().is_empty());
    assert_eq!(admit(&mut directory, "two", 2, 2), Reply::Refused(Refusal::Cannot));
    assert_eq!(admit(&mut directory, "three", 3, 2), Reply::Node(NodeId(3)));
    let place = Place { group: SHARD, revision: groups[&SHARD].revision, add: Some(NodeId(3)), remove: None };
    assert_eq!(run(&mut directory, place), Reply::Done);
    assert_eq!(view::group(&directory.rows, SHARD).unwrap().unwrap().replicas[1].replica, 103);
}

#[test]
fn accounts_without_a_copy_are_remembered_and_their_ids_are_not_given_again() {
    let mut directory = two_nodes();
    let kept = account(&mut directory, "kept@example.org", SHARD);
    account(&mut directory, "hit@example.org", LOST);
    assert_eq!(view::accounts_that_lost_mail(&directory.rows).unwrap(), []);
    assert_eq!(run(&mut directory, recovery(100)), Reply::Done);
    let after = account(&mut directory, "after@example.org", LOST);
    assert!(after.0 > kept.0 + 1000);
    let row = view::recovery(&directory.rows).unwrap().unwrap();
    let at = row.at;
    assert!(kept.0 + 1000 < row.accounts_upto && row.accounts_upto < after.0);
    let hit = view::accounts_that_lost_mail(&directory.rows).unwrap();
    assert_eq!(hit, [("hit@example.org".to_string(), at)]);
    let again =
        Recover(Recovery { node: NodeId(1), replicas: vec![(LOST, 200)], lost: Vec::new(), accounts_skipped: 0 });
    assert_eq!(run(&mut directory, again), Reply::Done);
    assert_eq!(view::accounts_that_lost_mail(&directory.rows).unwrap(), hit, "a later recovery forgets nothing");
    let unknown = Recover(Recovery { node: NodeId(7), replicas: Vec::new(), lost: Vec::new(), accounts_skipped: 0 });
    assert_eq!(run(&mut directory, unknown), Reply::Refused(Refusal::NotFound));
}

#[test]
fn a_format_comes_into_use_when_every_member_speaks_it_and_stays() {
    let mut directory = two_nodes();
    let active = |directory: &Group| view::active_format(&directory.rows).unwrap();
    assert_eq!(active(&directory), 1);
    assert_eq!(run(&mut directory, Activate { format: 3 }), Reply::Refused(Refusal::Outdated));
    assert_eq!(run(&mut directory, Activate { format: 2 }), Reply::Done);
    run(&mut directory, Announce { node: NodeId(1), facts: facts("one", 1, 3) });
    assert_eq!(run(&mut directory, Activate { format: 3 }), Reply::Refused(Refusal::Outdated));
    assert_eq!(active(&directory), 2);
    run(&mut directory, Announce { node: NodeId(2), facts: facts("two", 2, 3) });
    assert_eq!(run(&mut directory, Activate { format: 3 }), Reply::Done);
    assert_eq!(run(&mut directory, Activate { format: 2 }), Reply::Done);
    assert_eq!(active(&directory), 3);
    assert_eq!(admit(&mut directory, "old", 9, 2), Reply::Refused(Refusal::Outdated));
    let older = Announce { node: NodeId(2), facts: facts("two", 2, 2) };
    assert_eq!(run(&mut directory, older), Reply::Refused(Refusal::Outdated));
    assert_eq!(admit(&mut directory, "new", 8, 3), Reply::Node(NodeId(3)));
}

#[test]
fn a_removed_node_holds_no_format_back() {
    let mut directory = two_nodes();
    run(&mut directory, Announce { node: NodeId(1), facts: facts("one", 1, 3) });
    assert_eq!(run(&mut directory, recovery(100)), Reply::Done);
    assert_eq!(run(&mut directory, Activate { format: 3 }), Reply::Done);
}
