//! A small disk of a node's own: an ext4 image on a loop device, which can be filled.

use super::tool::tool;
use anyhow::Result;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A mounted image; unmounted in the end.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// A fresh file system in an image beside `at`, mounted there.
    pub fn mount(at: &Path, megabytes: u64) -> Result<Disk> {
        let image = at.with_extension("image");
        fs::create_dir_all(at)?;
        File::create(&image)?.set_len(megabytes << 20)?;
        let (image, point) = (image.to_string_lossy(), at.to_string_lossy());
        // Each message is a file: the usual number of inodes would be the first to run out.
        tool(&["mkfs.ext4", "-q", "-F", "-m", "0", "-i", "4096", &image])?;
        tool(&["mount", "-o", "loop", &image, &point])?;
        Ok(Disk { at: at.to_owned() })
    }

    /// Takes all its space. Returns how many bytes the ballast took.
    pub fn fill(&self) -> Result<u64> {
        let ballast = self.ballast();
        // The node frees and takes space meanwhile: smaller and smaller pieces until nothing fits.
        for megabytes in [64, 8, 1] {
            let step = format!("{megabytes}M");
            let mut offset = fs::metadata(&ballast).map_or(0, |file| file.len() >> 20);
            loop {
                let at = format!("{offset}M");
                let line = ["fallocate", "-o", &at, "-l", &step, &*ballast.to_string_lossy()];
                if tool(&line).is_err() {
                    break;
                }
                offset += megabytes;
            }
        }
        Ok(fs::metadata(&ballast)?.blocks() * 512)
    }

    /// Gives the space back.
    pub fn free(&self) {
        // It is not there when the disk was never filled.
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the node that used it may still be going.
        let _ = tool(&["umount", "--lazy", &self.at.to_string_lossy()]);
    }
}
