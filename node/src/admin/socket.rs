//! The path of the admin socket. A Unix socket's name has 107 bytes; a longer data directory is reached through
//! its open descriptor instead.

use super::SOCKET_NAME;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// The longest path that fits `sun_path` (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Binds the socket in `data`, for its owner alone. One that a killed node left is replaced: the caller holds the
/// data directory's lock, so nobody serves it.
///
/// # Errors
/// As the system says.
pub fn bind(data: &Path) -> io::Result<UnixListener> {
    let full = data.join(SOCKET_NAME);
    match std::fs::remove_file(&full) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_held, path) = short_path(data)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(&full, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to the socket in `data`.
///
/// # Errors
/// As the system says; `NotFound` and `ConnectionRefused` mean that no node runs there.
pub fn connect(data: &Path) -> io::Result<UnixStream> {
    let (_held, path) = short_path(data)?;
    UnixStream::connect(path)
}

/// A path that fits, and what must stay open while it is used.
fn short_path(data: &Path) -> io::Result<(Option<File>, PathBuf)> {
    let full = data.join(SOCKET_NAME);
    if full.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((None, full));
    }
    let directory = File::open(data)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd()));
    Ok((Some(directory), path))
}
