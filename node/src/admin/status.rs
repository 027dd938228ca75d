//! How the node stands, in numbers and in plain words.

use super::accounts::time;
use super::outlook::{outlook, some_of, takes_writes};
use super::protocol::{AdminError, AdminReply, StatusReport};
use super::service::{AdminService, unreadable};
use super::{members, queue};
use cluster::recover::Recovered;
use cluster::{ClusterStatus, Role};
use model::directory::view;
use storage::RewriteStatus;

/// Queued messages are counted up to here.
const QUEUE_COUNTED_MAX: usize = 10_000;

pub(super) async fn report(admin: &AdminService) -> Result<AdminReply, AdminError> {
    let services = &admin.services;
    let cluster = services.cluster.status();
    let counted = services
        .directory
        .with_rows(|rows| Ok((view::domains(rows)?.len(), view::accounts(rows)?.len(), view::aliases(rows)?.len())));
    let (domains, accounts, aliases) = counted.map_err(unreadable)?;
    let space = services.cluster.store().space();
    let (nodes, shards) = members::look(admin).await?;
    let available = cluster.is_available() && takes_writes(&shards);
    // Nothing else is held up when this cannot be read.
    let recovered = services.cluster.recovered().await.ok().flatten();
    let report = StatusReport {
        outlook: outlook(&nodes, &shards),
        nodes,
        shards,
        name: services.config.name.clone(),
        hostname: services.config.hostname.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        data: services.config.data.display().to_string(),
        uptime_seconds: admin.facts.started.elapsed().as_secs(),
        available,
        notes: notes(&cluster, space.full)
            .into_iter()
            .chain(rewriting(services.cluster.store().rewrite_status()))
            .chain(recovered.and_then(lost_mail))
            .collect(),
        groups: cluster.groups.len() as u64,
        groups_led: cluster.groups.iter().filter(|group| group.role == Role::Leader).count() as u64,
        log_entries: cluster.groups.iter().map(|group| group.log_entries).sum(),
        log_bytes: cluster.groups.iter().map(|group| group.log_bytes).sum(),
        sessions: admin.facts.permits.in_use() as u64,
        domains: domains as u64,
        accounts: accounts as u64,
        aliases: aliases as u64,
        queued: queue::count(admin, QUEUE_COUNTED_MAX).await?,
        disk_free_bytes: space.space.map(|space| space.free),
        disk_full: space.full,
        cluster: cluster.ca_fingerprint,
        listeners: admin.facts.listeners.clone(),
    };
    Ok(AdminReply::Status(Box::new(report)))
}

/// Who lost mail when the cluster went on with one node.
fn lost_mail(recovered: Recovered) -> Option<String> {
    let (accounts, since): (Vec<String>, Vec<_>) = recovered.accounts.into_iter().unzip();
    let since = time(since.into_iter().max()?);
    Some(format!("the mail of {} up to {since} was lost with the nodes that had it", some_of(&accounts)))
}

/// Tables of an earlier release that are being rewritten.
fn rewriting(status: RewriteStatus) -> Option<String> {
    let RewriteStatus { left_bytes, total_bytes } = status;
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    let (done, total) = (mib(total_bytes.saturating_sub(left_bytes)), mib(total_bytes));
    (left_bytes > 0)
        .then(|| format!("the index of an earlier release is rewritten in the background: {done} of {total} MiB done"))
}

fn notes(cluster: &ClusterStatus, disk_full: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if disk_full {
        notes.push("the disk is nearly full: new mail is refused until there is space".to_owned());
    }
    for group in &cluster.groups {
        match &group.role {
            Role::Rebuilding { reason, attempt } => {
                notes.push(format!("{} failed and is being rebuilt (attempt {attempt}): {reason}", group.group));
            }
            _ if group.leader.is_none() => notes.push(format!("{} has no leader: it takes no writes", group.group)),
            _ => {}
        }
    }
    notes
}
