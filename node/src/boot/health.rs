//! Health and metrics of this node for the web crate.

use crate::context::Services;
use crate::net::Permits;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;
use web::Health;

/// See the module.
pub struct NodeHealth {
    /// What is looked at.
    pub services: Services,
    /// Counts sessions.
    pub permits: Permits,
}

impl Health for NodeHealth {
    fn ready(&self) -> Result<(), String> {
        if self.services.stop.is_cancelled() {
            return Err("stopping".to_owned());
        }
        if !self.services.gate.is_open() {
            return Err("draining".to_owned());
        }
        if !self.services.in_touch.load(Ordering::Relaxed) {
            return Err("a majority of the nodes is out of reach".to_owned());
        }
        if !self.services.cluster.status().is_available() {
            return Err("a group has no leader".to_owned());
        }
        if self.services.cluster.store().space().full {
            return Err("the disk is nearly full".to_owned());
        }
        Ok(())
    }

    /// Prometheus text exposition format, version 0.0.4.
    fn metrics(&self) -> String {
        let mut text = String::new();
        for (name, help, value) in self.services.metrics.all() {
            metric(&mut text, name, "counter", help, value);
        }
        metric(&mut text, "sessions", "gauge", "Sessions open now", self.permits.in_use());
        let cluster = self.services.cluster.metrics();
        let status = self.services.cluster.status();
        let log_bytes: u64 = status.groups.iter().map(|group| group.log_bytes).sum();
        for (name, help, value) in [
            ("proposals_total", "Proposals that got a reply", cluster.proposals),
            ("proposals_failed_total", "Proposals certainly not carried out", cluster.proposals_failed),
            ("proposals_unknown_total", "Proposals whose outcome is unknown", cluster.proposals_unknown),
            ("proposal_microseconds_total", "Time from proposal to reply", cluster.proposal_micros),
            ("applied_entries_total", "Entries applied", cluster.applied_entries),
            ("snapshots_total", "Snapshots taken", cluster.snapshots),
            ("group_rebuilds_total", "Times a failed group was rebuilt", cluster.rebuilds),
        ] {
            metric(&mut text, name, "counter", help, value);
        }
        rows(&mut text, &self.services.cluster.store().rows_figures());
        let rewrite = self.services.cluster.store().rewrite_status();
        let help = "Index tables of an earlier release left to rewrite";
        metric(&mut text, "index_rewrite_left_bytes", "gauge", help, rewrite.left_bytes);
        metric(&mut text, "log_bytes", "gauge", "Bytes in the logs of all groups", log_bytes);
        if let Some(space) = self.services.cluster.store().space().space {
            metric(&mut text, "disk_free_bytes", "gauge", "Free space for data", space.free);
            metric(&mut text, "disk_free_files", "gauge", "Files there is room for (inodes)", space.files_free);
        }
        text
    }
}

/// The store of the index rows: how often its cache serves, and what memory and files it takes.
fn rows(text: &mut String, figures: &storage::RowsFigures) {
    for (name, help, value) in [
        ("block_cache_hits_total", "Blocks of the index found in the cache", figures.cache_hits),
        ("block_cache_misses_total", "Blocks of the index read from files", figures.cache_misses),
    ] {
        metric(text, name, "counter", help, value);
    }
    for (name, help, value) in [
        ("block_cache_bytes", "Bytes in the block cache", figures.cache_bytes),
        ("block_cache_bytes_max", "Bytes the block cache may hold", figures.cache_bytes_max),
        ("write_buffer_bytes", "Bytes of rows not yet in table files", figures.buffer_bytes),
        ("index_table_bytes", "Bytes of all table files", figures.table_bytes),
    ] {
        metric(text, name, "gauge", help, value);
    }
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, value: impl Display) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP mailnode_{name} {help}\n# TYPE mailnode_{name} {kind}\nmailnode_{name} {value}");
}
