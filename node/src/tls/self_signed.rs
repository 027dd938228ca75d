//! The certificate of a node that was given none: self-signed, for its hostname, made once and kept.

use super::{CertificateFiles, TlsError};
use std::io;
use std::path::Path;
use storage::disk::{RealDisk, replace_durably};

/// Writes a self-signed certificate for `names` (the first is the hostname) and its key; only the owner can read them.
///
/// # Errors
/// When a name cannot stand in a certificate or a file cannot be written.
pub fn write_self_signed(files: &CertificateFiles, names: &[String]) -> Result<(), TlsError> {
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(TlsError::Made)?;
    write(&files.private_key, made.signing_key.serialize_pem().as_bytes())?;
    write(&files.certificate, made.cert.pem().as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    let failed = |error| TlsError::File { path: path.to_owned(), error };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    RealDisk::open(directory).and_then(|disk| replace_durably(&disk, name, bytes)).map_err(failed)
}
