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
