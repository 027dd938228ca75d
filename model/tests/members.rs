//! Invitations, nodes and placement.

mod common;

use common::Group;
use model::codec;
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand::{self, *};
use model::directory::row::{NodeFacts, NodeNames, NodeRow, NodeState, ReplicaPlace, key};
use model::directory::view;
use model::limits::{NODES_MAX, OPERATION_MEMORY_MS, TOKEN_MEMORY_MS, TOKENS_MAX};
use model::{Command, Entry, GroupId, NodeId, OperationId, Refusal, Reply, Txn};

const SHARD: GroupId = GroupId(4);
/// After every time that [`Group::entry`] stamps here.
const LATER: u64 = 1_800_000_000_000;

fn run(directory: &mut Group, command: MemberCommand) -> Reply {
    directory.apply(Command::Directory(DirectoryCommand::Members(command))).reply
}

fn run_at(directory: &mut Group, at: u64, command: MemberCommand) -> Reply {
    let operation = OperationId::new(at, [directory.index as u8; 10]);
    let command = Command::Directory(DirectoryCommand::Members(command));
    directory.apply_entry(&Entry { operation, proposed_at: at, command }).reply
}

fn facts(name: &str, key: u8) -> NodeFacts {
    let hostname = format!("{name}.example.org");
    NodeFacts { name: name.into(), hostname, version: "1".into(), address: "h:7025".into(), key: [key; 32], format: 2 }
}

/// A directory whose first node is "one", with a replica of the directory and of one shard.
fn formed() -> Group {
    let mut directory = Group::new(GroupId::DIRECTORY);
    let replicas = vec![(GroupId::DIRECTORY, 1), (SHARD, 2)];
    assert_eq!(run(&mut directory, Form { node: NodeId(1), replicas }), Reply::Done);
    assert_eq!(run(&mut directory, Announce { node: NodeId(1), facts: facts("one", 1) }), Reply::Done);
    directory
}

fn invite(directory: &mut Group, token: u8) {
    let command = Invite { token: [token; 8], key: [token; 32], expires_at: LATER };
    assert_eq!(run(directory, command), Reply::Done);
}

fn admit(directory: &mut Group, token: u8, name: &str, key: u8) -> Reply {
    run(directory, Admit { token: [token; 8], facts: facts(name, key) })
}

fn joined(directory: &mut Group, name: &str, key: u8) -> NodeId {
    invite(directory, key);
    match admit(directory, key, name, key) {
        Reply::Node(node) => node,
        reply => panic!("{reply:?}"),
    }
}

fn place(directory: &mut Group, revision: u64, add: Option<u64>, remove: Option<u64>) -> Reply {
    run(directory, Place { group: SHARD, revision, add: add.map(NodeId), remove: remove.map(NodeId) })
}

fn replicas(directory: &Group) -> Vec<(u64, u64)> {
    let row = view::group(&directory.rows, SHARD).unwrap().unwrap();
    row.replicas.iter().map(|ReplicaPlace { replica, node }| (*replica, node.0)).collect()
}

#[test]
fn a_token_admits_one_node_and_the_same_node_again() {
    let mut directory = formed();
    invite(&mut directory, 7);
    assert_eq!(admit(&mut directory, 8, "two", 2), Reply::Refused(Refusal::NotFound));
    assert_eq!(admit(&mut directory, 7, "two", 2), Reply::Node(NodeId(2)));
    assert_eq!(admit(&mut directory, 7, "two", 2), Reply::Node(NodeId(2)));
    assert_eq!(admit(&mut directory, 7, "three", 3), Reply::Refused(Refusal::Used));
    let moved = NodeFacts { address: "elsewhere:1".into(), ..facts("two", 2) };
    assert_eq!(run(&mut directory, Admit { token: [7; 8], facts: moved.clone() }), Reply::Node(NodeId(2)));
    assert_eq!(view::node(&directory.rows, NodeId(2)).unwrap().unwrap().facts, moved, "it is reached where it is now");
    assert_eq!(admit(&mut directory, 7, "two", 2), Reply::Node(NodeId(2)));
    let two = view::node(&directory.rows, NodeId(2)).unwrap().unwrap();
    assert_eq!((two.facts, two.state), (facts("two", 2), NodeState::Active));
}

#[test]
fn a_token_expires_but_not_for_who_came_in_time() {
    let mut directory = formed();
    invite(&mut directory, 7);
    invite(&mut directory, 8);
    assert_eq!(admit(&mut directory, 7, "two", 2), Reply::Node(NodeId(2)));
    let late = |token| Admit { token: [token; 8], facts: facts("late", 9) };
    assert_eq!(run_at(&mut directory, LATER, late(8)), Reply::Refused(Refusal::Expired));
    let again = Admit { token: [7; 8], facts: facts("two", 2) };
    assert_eq!(run_at(&mut directory, LATER, again), Reply::Node(NodeId(2)));
}

#[test]
fn ended_tokens_are_forgotten_in_time_and_live_ones_are_bounded() {
    let mut directory = formed();
    for token in 0..TOKENS_MAX {
        let (token, key) = ((token as u64).to_be_bytes(), [0; 32]);
        assert_eq!(run(&mut directory, Invite { token, key, expires_at: LATER }), Reply::Done);
    }
    let one_more = |at: u64| Invite { token: [0xff; 8], key: [0; 32], expires_at: at };
    assert_eq!(run(&mut directory, one_more(LATER)), Reply::Refused(Refusal::Limit));
    let forgotten_at = LATER + TOKEN_MEMORY_MS + 1;
    assert_eq!(run_at(&mut directory, forgotten_at, one_more(forgotten_at)), Reply::Done);
    assert_eq!(view::tokens(&directory.rows).unwrap().len(), 1);
    const { assert!(TOKEN_MEMORY_MS >= OPERATION_MEMORY_MS) };
}

#[test]
fn a_name_belongs_to_one_node_until_that_is_removed() {
    let mut directory = formed();
    invite(&mut directory, 7);
    assert_eq!(admit(&mut directory, 7, "one", 2), Reply::Refused(Refusal::Exists));
    assert_eq!(admit(&mut directory, 7, "a b", 2), Reply::Refused(Refusal::Invalid));
    assert_eq!(admit(&mut directory, 7, "", 2), Reply::Refused(Refusal::Invalid));
    assert_eq!(admit(&mut directory, 7, "two", 2), Reply::Node(NodeId(2)));
    let renamed = Announce { node: NodeId(2), facts: facts("one", 2) };
    assert_eq!(run(&mut directory, renamed), Reply::Refused(Refusal::Exists));
    assert_eq!(run(&mut directory, SetState { node: NodeId(2), state: NodeState::Removed }), Reply::Done);
    assert_eq!(joined(&mut directory, "two", 3), NodeId(3), "node ids are never reused");
}

#[test]
fn a_removed_node_does_not_come_back() {
    let mut directory = formed();
    let two = joined(&mut directory, "two", 2);
    assert_eq!(run(&mut directory, SetState { node: two, state: NodeState::Removed }), Reply::Done);
    let refused = Reply::Refused(Refusal::Cannot);
    assert_eq!(run(&mut directory, Announce { node: two, facts: facts("two", 2) }), refused);
    assert_eq!(run(&mut directory, SetState { node: two, state: NodeState::Active }), refused);
    assert_eq!(admit(&mut directory, 2, "two", 2), Reply::Refused(Refusal::Used));
    invite(&mut directory, 9);
    assert_eq!(admit(&mut directory, 9, "two", 2), refused);
}

#[test]
fn a_nodes_key_never_changes_and_nobody_announces_itself_uninvited() {
    let mut directory = formed();
    assert_eq!(
        run(&mut directory, Announce { node: NodeId(1), facts: facts("one", 9) }),
        Reply::Refused(Refusal::Cannot)
    );
    assert_eq!(
        run(&mut directory, Announce { node: NodeId(5), facts: facts("five", 5) }),
        Reply::Refused(Refusal::NotFound)
    );
    let moved = NodeFacts { address: "elsewhere:1".into(), ..facts("one", 1) };
    assert_eq!(run(&mut directory, Announce { node: NodeId(1), facts: moved.clone() }), Reply::Done);
    assert_eq!(view::node(&directory.rows, NodeId(1)).unwrap().unwrap().facts, moved);
}

#[test]
fn a_plan_on_old_rows_is_refused_and_replica_ids_are_never_reused() {
    let mut directory = formed();
    joined(&mut directory, "two", 2);
    joined(&mut directory, "three", 3);
    assert_eq!(place(&mut directory, 1, Some(2), None), Reply::Done);
    assert_eq!(place(&mut directory, 1, Some(3), None), Reply::Refused(Refusal::Stale));
    assert_eq!(place(&mut directory, 2, Some(2), None), Reply::Refused(Refusal::Exists));
    assert_eq!(place(&mut directory, 2, Some(9), None), Reply::Refused(Refusal::NotFound));
    assert_eq!(place(&mut directory, 2, None, Some(3)), Reply::Refused(Refusal::NotFound));
    assert_eq!(place(&mut directory, 2, None, None), Reply::Refused(Refusal::Cannot));
    assert_eq!(replicas(&directory), [(2, 1), (3, 2)]);
    assert_eq!(place(&mut directory, 2, Some(3), Some(2)), Reply::Done);
    assert_eq!(place(&mut directory, 3, Some(2), None), Reply::Done);
    assert_eq!(replicas(&directory), [(2, 1), (4, 3), (5, 2)]);
    assert_eq!(view::counter(&directory.rows, "replica").unwrap(), 5);
}

#[test]
fn the_last_replica_and_the_last_node_stay() {
    let mut directory = formed();
    assert_eq!(place(&mut directory, 1, None, Some(1)), Reply::Refused(Refusal::Cannot));
    for state in [NodeState::Leaving, NodeState::Removed] {
        let last = SetState { node: NodeId(1), state };
        assert_eq!(run(&mut directory, last), Reply::Refused(Refusal::Cannot));
    }
    joined(&mut directory, "two", 2);
    let holder = SetState { node: NodeId(1), state: NodeState::Removed };
    assert_eq!(run(&mut directory, holder), Reply::Refused(Refusal::Cannot), "it still holds replicas");
    assert_eq!(run(&mut directory, SetState { node: NodeId(1), state: NodeState::Leaving }), Reply::Done);
    assert_eq!(place(&mut directory, 1, Some(1), None), Reply::Refused(Refusal::NotFound));
}

#[test]
fn forming_again_changes_nothing() {
    let mut directory = formed();
    joined(&mut directory, "two", 2);
    place(&mut directory, 1, Some(2), None);
    let before = view::groups(&directory.rows).unwrap();
    let replicas = vec![(GroupId::DIRECTORY, 1), (SHARD, 2)];
    assert_eq!(run(&mut directory, Form { node: NodeId(1), replicas }), Reply::Done);
    assert_eq!(view::groups(&directory.rows).unwrap(), before);
    assert_eq!(view::counter(&directory.rows, "replica").unwrap(), 3);
    assert_eq!(view::counter(&directory.rows, "node").unwrap(), 2);
}

#[test]
fn nodes_are_bounded() {
    let mut directory = formed();
    for key in 2..=NODES_MAX as u8 {
        joined(&mut directory, &format!("n{key}"), key);
    }
    invite(&mut directory, 200);
    assert_eq!(admit(&mut directory, 200, "more", 200), Reply::Refused(Refusal::Limit));
}

#[test]
fn a_node_of_the_first_release_is_read_and_its_command_forgets_nothing() {
    let mut directory = Group::new(GroupId::DIRECTORY);
    let names = |host: &str| NodeNames { name: "one".into(), hostname: host.into(), version: "0".into() };
    let say = |host: &str| Command::Directory(DirectoryCommand::SetNode { node: NodeId(1), row: names(host) });
    directory.apply(say("a"));
    let row = view::node(&directory.rows, NodeId(1)).unwrap().unwrap();
    assert_eq!((row.names(), row.facts.key, row.state), (names("a"), [0; 32], NodeState::Active));
    let mut first_release = Group::new(GroupId::DIRECTORY).rows;
    first_release.put(&key::node(NodeId(1)), &codec::encode(&names("a")));
    let bytes = |rows: &model::memory::MemoryTxn| rows.rows().get(&key::node(NodeId(1))).cloned();
    assert_eq!(bytes(&directory.rows), bytes(&first_release), "both releases write the same bytes");
    assert_eq!(run(&mut directory, Announce { node: NodeId(1), facts: facts("one", 1) }), Reply::Done);
    directory.apply(say("b"));
    let row = view::node(&directory.rows, NodeId(1)).unwrap().unwrap();
    assert_eq!((row.facts.hostname.as_str(), row.facts.key), ("b", [1; 32]));
    assert!(NodeRow::decode(b"\x09").is_err());
}
