//! One node's disk is full, or slow: the others go on and it comes back by itself.

use super::loaded::Loaded;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::cluster::{Cluster, PATIENCE, Shape};

/// A small file system in memory, unmounted at the end.
struct SmallDisk {
    at: PathBuf,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, said loudly, without the right to mount.
    fn mount(megabytes: u32) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("disk");
        fs::create_dir(&at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk { at, _directory: directory });
        }
        eprintln!("SKIPPED: a full disk cannot be tried without the right to mount one");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the node that used it is killed in the same moment.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

/// Takes all space but so much.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("ballast");
    let mut file = File::create(&path).unwrap();
    let block = vec![1; 1 << 20];
    while file.write_all(&block).is_ok() {}
    path
}

#[test]
fn a_full_disk_on_one_node_stops_nobody_else() {
    let Some(disk) = SmallDisk::mount(400) else { return };
    let mut cluster = Cluster::first(Shape { relays: true });
    cluster.grow();
    let (host, token) = cluster.invitation();
    let small = cluster.add_member();
    cluster.set_data(small, &disk.at.join("data"));
    cluster.spawn(small, &["--join", &host, "--token", &token]);
    cluster.ready(small);
    cluster.wait_whole();
    let loaded = Loaded::on(cluster);
    let load = loaded.work();
    loaded.progress("before the disk is full", 30);
    let ballast = fill(&disk.at);
    loaded.progress("with a full disk on one node", 100);
    fs::remove_file(ballast).unwrap();
    loaded.progress("after there is space again", 30);
    load.stop();
    let Loaded { mut cluster, users, history } = loaded;
    // A node that could not write may have given up; a restart must be all it needs.
    cluster.kill(small);
    cluster.restart(small);
    cluster.wait_whole();
    let loaded = Loaded { cluster, users, history };
    loaded.check(&[0, 1, 2]);
}

/// Limits what a process writes, where the system lets us.
struct SlowDisk {
    group: PathBuf,
}

impl SlowDisk {
    /// `None`, said loudly, where the block controller is not ours.
    fn slow_down(pid: u32, data: &Path, writes_per_second: u32) -> Option<SlowDisk> {
        use std::os::unix::fs::MetadataExt;
        let device = fs::metadata(data).ok()?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let group = Path::new("/sys/fs/cgroup/blkio").join(format!("mailnode-test-{pid}"));
        let limited = fs::create_dir(&group)
            .and_then(|()| {
                let limit = format!("{major}:{minor} {writes_per_second}");
                fs::write(group.join("blkio.throttle.write_iops_device"), limit)
            })
            .and_then(|()| fs::write(group.join("cgroup.procs"), pid.to_string()));
        match limited {
            Ok(()) => Some(SlowDisk { group }),
            Err(error) => {
                eprintln!("SKIPPED: a slow disk cannot be tried here: {error}");
                let _ = fs::remove_dir(&group);
                None
            }
        }
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Empty once the process has gone; until then the system keeps it.
        let _ = fs::remove_dir(&self.group);
    }
}

#[test]
fn a_slow_disk_on_one_node_stops_nobody_else() {
    let loaded = Loaded::start(3);
    let cluster = &loaded.cluster;
    let load = loaded.work();
    loaded.progress("before the disk is slow", 30);
    let leader = cluster.leader_of(&loaded.users.address(0));
    let Some(slow) = SlowDisk::slow_down(cluster.node(leader).pid(), cluster.data(leader), 4) else {
        load.stop();
        return;
    };
    loaded.progress("with a slow disk on one node", 100);
    load.stop();
    cluster.wait_until("the slow node is level", PATIENCE, || cluster.status(leader).is_some());
    loaded.check(&[(leader + 1) % 3, leader]);
    loaded.cluster.finish();
    drop(slow);
}
