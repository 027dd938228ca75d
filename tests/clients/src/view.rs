//! What `mailnode status --json` says of a cluster, in the words of tests. The only place that knows its keys.

use serde_json::Value;

/// A replica that lacks no more than this many entries is level: clients may be at work.
const LEVEL_ENTRIES_MAX: u64 = 100;

/// Replicas of a shard, where there are as many nodes.
const REPLICAS: usize = 3;

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Names of the nodes that belong, sorted.
    pub nodes: Vec<String>,
    /// The directory is 0.
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    shard: u64,
    leader: Option<String>,
    /// Nodes of replicas that vote, answer and are level.
    level: Vec<String>,
}

impl View {
    /// `None` when something is missing.
    pub fn read(status: &Value) -> Option<View> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut nodes: Vec<_> = status["nodes"].as_array()?.iter().filter_map(|node| text(&node["name"])).collect();
        nodes.sort();
        let level = |replica: &&Value| {
            let lag = replica["lag"].as_u64();
            replica["voter"] == true && replica["reachable"] == true && lag.is_some_and(|lag| lag <= LEVEL_ENTRIES_MAX)
        };
        let group = |value: &Value| {
            let replicas = value["replicas"].as_array()?.iter();
            let level = replicas.filter(level).filter_map(|replica| text(&replica["node"])).collect();
            Some(Group { shard: value["shard"].as_u64()?, leader: text(&value["leader"]), level })
        };
        let groups = status["shards"].as_array()?.iter().map(group).collect::<Option<_>>()?;
        Some(View { nodes, groups })
    }

    /// Whether so many nodes belong, and every group has a leader and as many level replicas as they can give it.
    ///
    /// # Errors
    /// What is missing.
    pub fn whole(&self, nodes: usize) -> Result<(), String> {
        if self.nodes.len() != nodes {
            return Err(format!("nodes: {:?}", self.nodes));
        }
        let missing = |group: &&Group| group.leader.is_none() || group.level.len() < nodes.min(REPLICAS);
        match self.groups.iter().find(missing) {
            Some(group) => Err(format!("{group:?}")),
            None if self.groups.is_empty() => Err("no groups".to_owned()),
            None => Ok(()),
        }
    }

    /// The name of the node that leads a shard.
    pub fn leader(&self, shard: u64) -> Option<String> {
        self.groups.iter().find(|group| group.shard == shard)?.leader.clone()
    }

    /// How many groups a node leads.
    pub fn led_by(&self, name: &str) -> usize {
        self.groups.iter().filter(|group| group.leader.as_deref() == Some(name)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(voter: bool, lag: u64) -> Value {
        let replica = |node: &str, voter, lag| json!({"node": node, "voter": voter, "reachable": true, "lag": lag});
        json!({
            "nodes": [{"name": "b"}, {"name": "a"}],
            "shards": [{"shard": 4, "leader": "a", "replicas": [replica("a", true, 0), replica("b", voter, lag)]}],
        })
    }

    #[test]
    fn a_cluster_is_whole_when_every_replica_votes_and_is_level() {
        let whole = |voter, lag| View::read(&status(voter, lag)).unwrap().whole(2).is_ok();
        assert_eq!([whole(true, 0), whole(false, 0), whole(true, 5_000)], [true, false, false]);
        let view = View::read(&status(true, 0)).unwrap();
        assert!(view.whole(3).is_err(), "a node is missing");
        assert_eq!((view.leader(4).as_deref(), view.led_by("a"), view.led_by("b")), (Some("a"), 1, 0));
    }
}
