//! Commands about tokens, nodes and shards, and how they are shown.

use super::arguments::{Listing, NodeCommand, ShardCommand, TokenCommand};
use super::exit::{Exit, Failure};
use super::listing::{json, print, show, table};
use super::run::{done, unexpected};
use crate::admin::{
    AdminCommand, AdminReply, Client, MoveItem, NodeItem, ReplicaItem, ShardItem, TokenItem, group_name, ranges,
};
use crate::limits::CLOCK_OFFSET_WARNED_MS;

pub(super) fn token(client: &mut Client, command: TokenCommand) -> Result<Exit, Failure> {
    let TokenCommand::Create { valid, listing } = command;
    let AdminReply::Token(token) = client.call(AdminCommand::TokenCreate { valid_seconds: valid })? else {
        return Err(unexpected());
    };
    let join = join_command(&token);
    if listing.json {
        return json(&serde_json::json!({ "token": token.token, "address": token.address, "join": join }));
    }
    let minutes = token.valid_seconds / 60;
    print(&format!("On the new machine, within {minutes} minutes, once:\n\n  {join}\n"))
}

fn join_command(token: &TokenItem) -> String {
    format!("mailnode --join {} --token {}", token.address, token.token)
}

pub(super) fn node(client: &mut Client, command: NodeCommand) -> Result<Exit, Failure> {
    match command {
        NodeCommand::List(how) => match client.call(AdminCommand::NodeList)? {
            AdminReply::Nodes(nodes) if how.json => json(&nodes),
            AdminReply::Nodes(nodes) => print(&table(&node_rows(&nodes))),
            _ => Err(unexpected()),
        },
        NodeCommand::Drain { name } => done(client, AdminCommand::NodeDrain { name }),
        NodeCommand::Undrain { name } => done(client, AdminCommand::NodeUndrain { name }),
        NodeCommand::Remove { name } => done(client, AdminCommand::NodeRemove { name }),
        NodeCommand::Replace { old, new } => done(client, AdminCommand::NodeReplace { old, new }),
    }
}

pub(super) fn shard(client: &mut Client, command: ShardCommand) -> Result<Exit, Failure> {
    match command {
        ShardCommand::List(how) => match client.call(AdminCommand::ShardList)? {
            AdminReply::Shards(shards) => shards_shown(&shards, how),
            _ => Err(unexpected()),
        },
        ShardCommand::Move { shard, from, to } => done(client, AdminCommand::ShardMove { shard, from, to }),
        ShardCommand::Rebalance { dry_run, listing } => match client.call(AdminCommand::ShardRebalance { dry_run })? {
            AdminReply::Moves(moves) => moves_shown(&moves, dry_run, listing),
            _ => Err(unexpected()),
        },
    }
}

fn shards_shown(shards: &[ShardItem], how: Listing) -> Result<Exit, Failure> {
    let row = |shard: &ShardItem| vec![group_name(shard.shard), leader(shard), replicas(shard)];
    show(shards, how, &["SHARD", "LEADER", "REPLICAS"], row)
}

fn moves_shown(moves: &[MoveItem], dry_run: bool, how: Listing) -> Result<Exit, Failure> {
    if moves.is_empty() && !how.json {
        return print("replicas are spread evenly\n");
    }
    let titles = if dry_run { ["SHARD", "WOULD LEAVE", "FOR"] } else { ["SHARD", "LEAVES", "FOR"] };
    let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "-".to_owned());
    show(moves, how, &titles, |item| vec![item.shard.to_string(), name(&item.from), name(&item.to)])
}

/// A table of nodes, titles first.
pub(super) fn node_rows(nodes: &[NodeItem]) -> Vec<Vec<String>> {
    let titles = ["NODE", "STATE", "LEADS", "HOLDS", "LAG", "CLOCK", "RELEASE", "ADDRESS"];
    let row = |node: &NodeItem| {
        let state = match (node.reachable, node.here) {
            (false, _) => format!("{}, does not answer", node.standing.word()),
            (true, true) => format!("{}, here", node.standing.word()),
            (true, false) => node.standing.word().to_owned(),
        };
        vec![
            node.name.clone(),
            state,
            node.leads.to_string(),
            node.replicas.to_string(),
            node.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string()),
            node.clock_offset_ms.map_or_else(|| "?".to_owned(), clock),
            node.version.clone(),
            node.address.clone(),
        ]
    };
    std::iter::once(titles.map(str::to_owned).to_vec()).chain(nodes.iter().map(row)).collect()
}

fn clock(offset_ms: i64) -> String {
    if offset_ms.unsigned_abs() > CLOCK_OFFSET_WARNED_MS {
        format!("{:+} s!", offset_ms / 1_000)
    } else {
        format!("{offset_ms:+} ms")
    }
}

/// A table of shards, titles first: those that stand alike share a row.
pub(super) fn shard_rows(shards: &[ShardItem]) -> Vec<Vec<String>> {
    let mut alike: Vec<(Vec<u32>, [String; 2])> = Vec::new();
    for shard in shards {
        let cells = [leader(shard), replicas(shard)];
        match alike.iter_mut().find(|(numbers, other)| *other == cells && !numbers.contains(&0)) {
            Some((numbers, _)) => numbers.push(shard.shard),
            None => alike.push((vec![shard.shard], cells)),
        }
    }
    let row = |(numbers, cells): (Vec<u32>, [String; 2])| {
        let name = if numbers == [0] { group_name(0) } else { ranges(numbers.into_iter()) };
        [&[name], &cells[..]].concat()
    };
    let titles = ["SHARDS", "LEADER", "REPLICAS"].map(str::to_owned).to_vec();
    std::iter::once(titles).chain(alike.into_iter().map(row)).collect()
}

fn leader(shard: &ShardItem) -> String {
    shard.leader.clone().unwrap_or_else(|| "none".to_owned())
}

fn replicas(shard: &ShardItem) -> String {
    shard.replicas.iter().map(replica).collect::<Vec<_>>().join(", ")
}

fn replica(replica: &ReplicaItem) -> String {
    let mut said = Vec::new();
    if !replica.reachable {
        said.push("does not answer".to_owned());
    }
    if !replica.voter {
        said.push("no vote".to_owned());
    }
    if let Some(lag) = replica.lag.filter(|lag| *lag > 0) {
        said.push(format!("{lag} behind"));
    }
    if said.is_empty() { replica.node.clone() } else { format!("{} ({})", replica.node, said.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(shard: u32, leader: &str, nodes: &[&str]) -> ShardItem {
        let replica =
            |node: &&str| ReplicaItem { node: (*node).to_owned(), voter: true, reachable: true, lag: Some(0) };
        ShardItem { shard, leader: Some(leader.to_owned()), replicas: nodes.iter().map(replica).collect() }
    }

    #[test]
    fn shards_that_stand_alike_share_a_row_and_what_is_wrong_stands_behind_the_node() {
        let mut odd = held(3, "a", &["a", "b"]);
        odd.replicas[1] = ReplicaItem { voter: false, lag: Some(7), ..odd.replicas[1].clone() };
        let shards = [
            held(0, "a", &["a", "b"]),
            held(1, "a", &["a", "b"]),
            held(2, "a", &["a", "b"]),
            odd,
            held(4, "b", &["b"]),
        ];
        let expected = "\
SHARDS     LEADER  REPLICAS
directory  a       a, b
1-2        a       a, b
3          a       a, b (no vote, 7 behind)
4          b       b
";
        assert_eq!(table(&shard_rows(&shards)), expected);
    }

    #[test]
    fn nodes_show_what_an_operator_looks_for() {
        let node = NodeItem {
            name: "b".into(),
            address: "192.0.2.2:7025".into(),
            version: "0.1.0".into(),
            clock_offset_ms: Some(-61_000),
            ..NodeItem::default()
        };
        let rows = table(&node_rows(&[node]));
        let expected = "b     active, does not answer  0      0      ?    -61 s!  0.1.0    192.0.2.2:7025\n";
        assert!(rows.ends_with(expected), "{rows}");
    }

    #[test]
    fn the_join_command_can_be_pasted() {
        let token = TokenItem { token: "MN1.a.b.c".into(), address: "192.0.2.1:7025".into(), valid_seconds: 60 };
        assert_eq!(join_command(&token), "mailnode --join 192.0.2.1:7025 --token MN1.a.b.c");
    }
}
