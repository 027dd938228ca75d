//! Reading certificate and key files (PEM), with errors that name the file.

use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {reason}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// rustls refused the configuration.
    #[error("TLS: {0}")]
    Rustls(rustls::Error),
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Made(rcgen::Error),
}

impl CertificateFiles {
    /// Both files, checked against each other.
    pub(super) fn read(&self) -> Result<CertifiedKey, TlsError> {
        let content = |path: &Path, reason: String| TlsError::Content { path: path.to_owned(), reason };
        let pem = read_bounded(&self.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| content(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(content(&self.certificate, "no certificate in this file".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&read_bounded(&self.private_key)?)
            .map_err(|error| content(&self.private_key, error.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| content(&self.private_key, error.to_string()))
    }

    /// Modification times of both, to notice that they changed; `None` for a file that cannot be seen.
    pub fn modified(&self) -> [Option<SystemTime>; 2] {
        let of = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        [of(&self.certificate), of(&self.private_key)]
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::File { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CERTIFICATE_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
