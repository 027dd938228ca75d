//! One node's disk is full, or slow: the others go on, and it comes back.

use super::disk::Disk;
use super::loaded::Loaded;
use std::fs;
use tests::cluster::{Cluster, Shape};

/// Room for a node, and little more.
const DISK_MEGABYTES: u64 = 600;

/// Writes that a slow disk makes in a second.
const SLOW_WRITES: u32 = 25;

/// Two nodes, and a third whose data lies on that disk.
fn with_third_on(disk: &Disk) -> (Loaded, usize) {
    let mut cluster = Cluster::first(Shape { relays: true });
    cluster.grow();
    let (host, token) = cluster.invitation();
    let third = cluster.add_member();
    cluster.set_data(third, &disk.data());
    cluster.spawn(third, &["--join", &host, "--token", &token]);
    cluster.ready(third);
    cluster.wait_whole();
    (Loaded::on(cluster), third)
}

#[test]
fn a_full_disk_on_one_node_stops_nobody_else() {
    let Some(disk) = Disk::mount(DISK_MEGABYTES) else { return };
    let (mut loaded, third) = with_third_on(&disk);
    let load = loaded.work();
    loaded.progress("before the disk is full", 30);
    let ballast = disk.fill();
    loaded.progress("with a full disk on one node", 100);
    fs::remove_file(ballast).expect("the ballast is there");
    loaded.progress("after there is space again", 30);
    load.stop();
    // A node that could not write may have given up; a start must be all that it needs.
    loaded.cluster.kill(third);
    loaded.cluster.restart(third);
    loaded.cluster.wait_whole();
    loaded.check(&[0, 1, 2]);
}

#[test]
fn a_slow_disk_on_one_node_stops_nobody_else() {
    let Some(disk) = Disk::mount(DISK_MEGABYTES) else { return };
    let (loaded, third) = with_third_on(&disk);
    let slowness = match disk.slow_down(loaded.cluster.node(third).pid(), SLOW_WRITES) {
        Ok(slowness) => slowness,
        Err(error) => return eprintln!("SKIPPED: a slow disk needs the block controller: {error}"),
    };
    let load = loaded.work();
    loaded.progress("with a slow disk on one node", 200);
    load.stop();
    drop(slowness);
    loaded.cluster.wait_whole();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}
