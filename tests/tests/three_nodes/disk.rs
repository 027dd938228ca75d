//! A disk of a node's own: an image in a file, mounted, which can be filled and slowed down. Needs root.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted image; unmounted in the end.
pub struct Disk {
    at: PathBuf,
    _directory: tempfile::TempDir,
}

impl Disk {
    /// A fresh file system; `None`, said loudly, where that cannot be had.
    pub fn mount(megabytes: u64) -> Option<Disk> {
        let directory = tempfile::tempdir().expect("a directory");
        let (image, at) = (directory.path().join("image"), directory.path().join("disk"));
        fs::create_dir(&at).expect("a directory");
        File::create(&image).and_then(|file| file.set_len(megabytes << 20)).expect("an image");
        let run = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))
            && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at));
        if !made {
            eprintln!("SKIPPED: a disk of its own needs root, mkfs.ext4 and loop devices");
            return None;
        }
        Some(Disk { at, _directory: directory })
    }

    /// Where a node may keep its data on it.
    pub fn data(&self) -> PathBuf {
        self.at.join("data")
    }

    /// Takes all its space; the file that holds it.
    pub fn fill(&self) -> PathBuf {
        let path = self.at.join("ballast");
        let mut file = File::create(&path).expect("a file");
        let block = vec![1; 1 << 20];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
        path
    }

    /// Lets a process write to it so many times a second, until what is returned is dropped.
    ///
    /// # Errors
    /// Where the block controller is not ours.
    pub fn slow_down(&self, pid: u32, writes_per_second: u32) -> io::Result<Slowness> {
        let device = fs::metadata(&self.at)?.dev();
        let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let group = Path::new("/sys/fs/cgroup/blkio").join(format!("mailnode-test-{pid}"));
        fs::create_dir(&group)?;
        let slowness = Slowness { group, device };
        slowness.limit(writes_per_second)?;
        fs::write(slowness.group.join("cgroup.procs"), pid.to_string())?;
        Ok(slowness)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the node that used it may still be going.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

/// A group of processes that may write only so often.
pub struct Slowness {
    group: PathBuf,
    device: String,
}

impl Slowness {
    /// 0 is no limit.
    fn limit(&self, writes_per_second: u32) -> io::Result<()> {
        let limit = format!("{} {writes_per_second}", self.device);
        fs::write(self.group.join("blkio.throttle.write_iops_device"), limit)
    }
}

impl Drop for Slowness {
    fn drop(&mut self) {
        // Its processes go back to where they came from; what cannot be undone ends with them.
        let _ = self.limit(0);
        for pid in fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write("/sys/fs/cgroup/blkio/cgroup.procs", pid);
        }
        let _ = fs::remove_dir(&self.group);
    }
}
