//! Which format the cluster uses: what a release brought is proposed only once every node has it. The leader of the
//! directory raises the format, the directory checks that, and nobody lowers it.

use crate::error::StartError;
use crate::handle::Cluster;
use crate::limits::GATE_INTERVAL;
use crate::members::FORMAT;
use model::directory::members::MemberCommand;
use model::directory::view;
use model::{GroupId, Reply};
use storage::Store;

/// Refuses a start that the directory here speaks against: this release could not read what the others wrote. Blocks.
pub fn check(store: &Store) -> Result<(), StartError> {
    if !store.groups().contains(&GroupId::DIRECTORY) {
        return Ok(());
    }
    let broken = |reason: String| StartError::Group { group: GroupId::DIRECTORY, reason };
    let rows = store.state(GroupId::DIRECTORY).and_then(|state| state.read());
    let rows = rows.map_err(|error| broken(error.to_string()))?;
    let active = view::active_format(&rows).map_err(|error| broken(error.to_string()))?;
    if active > FORMAT { Err(StartError::Outdated { active, spoken: FORMAT }) } else { Ok(()) }
}

/// Runs until it is dropped.
pub async fn run(cluster: Cluster) {
    let mut watch = cluster.inner().directory.watch();
    loop {
        if let Some(rows) = cluster.inner().directory.rows().await {
            if rows.active_format > FORMAT {
                let (active, spoken) = (rows.active_format, FORMAT);
                tracing::error!("{}", StartError::Outdated { active, spoken });
            }
            let common = rows.members().map(|(_, row)| row.facts.format).min().unwrap_or(rows.active_format);
            if common > rows.active_format && cluster.leads(GroupId::DIRECTORY) {
                raise(&cluster, common).await;
            }
        }
        watch.changed(GATE_INTERVAL).await;
    }
}

async fn raise(cluster: &Cluster, format: u32) {
    match cluster.change_members(MemberCommand::Activate { format }).await {
        Ok(Reply::Done) => tracing::info!(format, "every node speaks this format: it is used from now on"),
        other => tracing::info!(format, ?other, "the format is not raised yet; trying again"),
    }
}

impl Cluster {
    /// The format that the directory here says is in use. What a later one brought must not be proposed.
    pub async fn active_format(&self) -> u32 {
        self.inner().directory.rows().await.map_or(1, |rows| rows.active_format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::{Join, join};
    use crate::raft::waiting_entries;
    use crate::start::StartOptions;
    use crate::testing::open_store;
    use model::directory::DirectoryCommand;
    use model::directory::row::NodeFacts;
    use model::{Command, OperationId};

    async fn propose(cluster: &Cluster, number: u8, command: MemberCommand) -> Reply {
        let command = Command::Directory(DirectoryCommand::Members(command));
        cluster.propose(GroupId::DIRECTORY, OperationId::new(1, [number; 10]), command).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_older_release_is_not_admitted() {
        let (data, blank) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cluster = Cluster::start(StartOptions::alone(open_store(data.path()), "one")).await.unwrap();
        let mut watch = cluster.inner().directory.watch();
        while cluster.active_format().await < FORMAT {
            watch.changed(GATE_INTERVAL).await;
        }
        let token = cluster.create_token(std::time::Duration::from_secs(3600)).await.unwrap();
        let invited = Join { address: cluster.cluster_address().to_string(), token };
        let store = open_store(blank.path());
        let address = "127.0.0.1:9".to_string();
        let facts = NodeFacts { name: "two".into(), address, format: FORMAT - 1, ..NodeFacts::default() };
        let refused = join(&store, &invited, facts.clone(), None).await.err().unwrap().to_string();
        assert!(refused.contains("older than what the cluster uses"), "{refused}");
        let admitted = join(&store, &invited, NodeFacts { format: FORMAT, ..facts }, None).await;
        assert!(admitted.is_ok(), "the token is still good");
        cluster.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_leader_raises_the_format_and_an_older_release_does_not_start_then() {
        let data = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(StartOptions::alone(open_store(data.path()), "one")).await.unwrap();
        let mut watch = cluster.inner().directory.watch();
        while cluster.active_format().await < FORMAT {
            watch.changed(GATE_INTERVAL).await;
        }
        check(cluster.store()).unwrap();
        let facts = NodeFacts { format: FORMAT + 1, ..cluster.inner().facts.clone() };
        let announce = MemberCommand::Announce { node: cluster.node(), facts };
        assert_eq!(propose(&cluster, 1, announce).await, Reply::Done);
        while cluster.active_format().await <= FORMAT {
            watch.changed(GATE_INTERVAL).await;
        }
        let store = cluster.store().clone();
        cluster.shutdown().await;
        // What the later release wrote need not be readable for the refusal.
        waiting_entries(&store.log(GroupId::DIRECTORY).unwrap(), 1).await;
        drop(cluster);
        let refused = Cluster::start(StartOptions::alone(store.clone(), "one")).await.err().unwrap();
        assert!(matches!(refused, StartError::Outdated { .. }), "{refused}");
        crate::runtime::blocking(move || store.close().unwrap()).await.unwrap();
    }
}
