//! What `mailnode status --json` says of a cluster, in the words of tests. The only place that knows its keys.

use serde_json::Value;

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Names of the nodes that belong, sorted.
    pub nodes: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    shard: u64,
    leader: Option<String>,
    voters: usize,
}

impl View {
    /// `None` when something is missing.
    pub fn read(status: &Value) -> Option<View> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut nodes: Vec<_> = status["nodes"].as_array()?.iter().filter_map(|node| text(&node["name"])).collect();
        nodes.sort();
        let group = |value: &Value| {
            let replicas = value["replicas"].as_array()?;
            let voters = replicas.iter().filter(|replica| replica["voter"] == true).count();
            Some(Group { shard: value["shard"].as_u64()?, leader: text(&value["leader"]), voters })
        };
        let groups = status["shards"].as_array()?.iter().map(group).collect::<Option<_>>()?;
        Some(View { nodes, groups })
    }

    /// Whether every group has a leader and the voters that so many nodes can give it.
    ///
    /// # Errors
    /// What is missing.
    pub fn whole(&self, nodes: usize) -> Result<(), String> {
        if self.nodes.len() != nodes {
            return Err(format!("nodes: {:?}", self.nodes));
        }
        let voters = nodes.min(3);
        match self.groups.iter().find(|group| group.leader.is_none() || group.voters < voters) {
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
