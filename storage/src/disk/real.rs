//! The machine's own disk. Paths are resolved from an open directory, so the data directory may be moved while it is unused.

use super::{Disk, DiskFile, Space, Stat};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Files under a directory of the machine.
pub struct RealDisk {
    root: OwnedFd,
}

impl RealDisk {
    /// Opens `root`, making it with mode 0700 when it does not exist.
    pub fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        fs::fchmod(&root, Mode::RWXU)?;
        Ok(RealDisk { root })
    }

    fn open_with(&self, path: &str, flags: OFlags) -> io::Result<Box<dyn DiskFile>> {
        let file = fs::openat(&self.root, here(path), flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
        Ok(Box::new(RealFile(std::fs::File::from(file))))
    }

    fn sync_path(&self, path: &str, flags: OFlags) -> io::Result<()> {
        let file = fs::openat(&self.root, here(path), flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        or_abort("fsync", path, fs::fsync(&file))
    }
}

/// The empty path is the data directory itself.
fn here(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

/// After a failed sync the kernel has dropped the dirty pages: a second try would lie (CONSENSUS section 2).
fn or_abort(what: &str, path: &str, result: rustix::io::Result<()>) -> io::Result<()> {
    if let Err(error) = result {
        tracing::error!(path, %error, "{what} failed; stopping so that nothing unsaved is acknowledged");
        std::process::abort();
    }
    Ok(())
}

impl Disk for RealDisk {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_with(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_with(path, OFlags::RDONLY)
    }

    fn open_write(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_with(path, OFlags::RDWR)
    }

    fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        match fs::statat(&self.root, here(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stat {
                inode: stat.st_ino,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                links: stat.st_nlink,
                directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::linkat(&self.root, from, &self.root, to, AtFlags::empty())?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.root, from, &self.root, to)?)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.root, path, AtFlags::empty())?)
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        Ok(fs::mkdirat(&self.root, path, Mode::RWXU)?)
    }

    fn rmdir(&self, path: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::openat(&self.root, here(path), flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&directory)? {
            let entry = entry?;
            // Names this crate did not make may be anything; it never needs those that are not text.
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_string());
            }
        }
        Ok(names)
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.sync_path(path, OFlags::empty())
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.sync_path(path, OFlags::DIRECTORY)
    }

    fn sync_all(&self) -> io::Result<()> {
        or_abort("syncfs", "", fs::syncfs(&self.root))
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fs::fstatvfs(&self.root)?;
        Ok(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            files: stat.f_files,
            files_free: stat.f_favail,
        })
    }
}

struct RealFile(std::fs::File);

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, into, offset)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
