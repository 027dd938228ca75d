//! The server's TLS: one rustls configuration whose certificate can be exchanged while the node runs.

mod files;
mod reload;
mod self_signed;

pub use files::{CertificateFiles, TlsError};
pub use reload::reload_when_changed;
pub use self_signed::write_self_signed;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The server's side of TLS. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<CurrentCertificate>,
}

#[derive(Debug)]
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Tls {
    /// Reads the certificate chain and key (PEM).
    ///
    /// # Errors
    /// Names the file that cannot be read or does not fit.
    pub fn load(files: &CertificateFiles) -> Result<Tls, TlsError> {
        let certificate = Arc::new(CurrentCertificate(RwLock::new(Arc::new(files.read()?))));
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Rustls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        // Sealed tickets instead of a session cache: nothing to keep per client.
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Rustls)?;
        config.send_tls13_tickets = 1;
        Ok(Tls { config: Arc::new(config), certificate })
    }

    /// For one handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Takes the files as they are now for handshakes from now on; on error the old certificate stays.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self, files: &CertificateFiles) -> Result<(), TlsError> {
        let fresh = Arc::new(files.read()?);
        *self.certificate.0.write() = fresh;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(tls: &Tls) -> Vec<u8> {
        tls.certificate.0.read().cert.first().map(|certificate| certificate.to_vec()).unwrap_or_default()
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_leaves_the_old() {
        let directory = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: directory.path().join("tls/certificate.pem"),
            private_key: directory.path().join("tls/key.pem"),
        };
        write_self_signed(&files, &["mail.example.org".to_owned()]).unwrap();
        let tls = Tls::load(&files).unwrap();
        let first = served(&tls);
        write_self_signed(&files, &["mail.example.org".to_owned()]).unwrap();
        tls.reload(&files).unwrap();
        let second = served(&tls);
        assert_ne!(first, second);
        std::fs::write(&files.certificate, "nothing").unwrap();
        let error = tls.reload(&files).unwrap_err().to_string();
        assert!(error.contains("certificate.pem"), "{error}");
        assert_eq!(served(&tls), second);
    }

    #[test]
    fn a_key_that_does_not_fit_its_certificate_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let of = |name: &str| CertificateFiles {
            certificate: directory.path().join(format!("{name}.pem")),
            private_key: directory.path().join(format!("{name}.key")),
        };
        let (one, other) = (of("one"), of("other"));
        for files in [&one, &other] {
            write_self_signed(files, &["localhost".to_owned()]).unwrap();
        }
        let mixed = CertificateFiles { certificate: one.certificate, private_key: other.private_key };
        assert!(Tls::load(&mixed).is_err());
    }
}
