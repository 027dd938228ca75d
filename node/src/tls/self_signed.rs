//! The certificate of a node that was given none: self-signed, for its hostname, made once and kept.

use super::{CertificateFiles, TlsError};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a self-signed certificate for `names` (the first is the hostname) and its key, which only the owner can read.
///
/// # Errors
/// When a name cannot stand in a certificate or a file cannot be written.
pub fn write_self_signed(files: &CertificateFiles, names: &[String]) -> Result<(), TlsError> {
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(TlsError::Made)?;
    write(&files.private_key, made.signing_key.serialize_pem().as_bytes(), 0o600)?;
    write(&files.certificate, made.cert.pem().as_bytes(), 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let failed = |error| TlsError::File { path: path.to_owned(), error };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}
