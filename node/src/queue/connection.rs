//! A connection to another mail host: TCP, and TLS on top when that host offers it. Opportunistic: certificates are not
//! checked, since a forged one is no worse than no TLS at all (RFC 7435). It knows no SMTP.

use super::result::Obstacle;
use super::route::loops;
use crate::limits::{CONNECT_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A byte stream to a host.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes connections. Clones share the TLS configuration.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    own_ports: Arc<[u16]>,
}

impl Connector {
    /// `own_ports` are where this node takes mail from other hosts: it does not send to itself.
    ///
    /// # Errors
    /// When TLS cannot be configured.
    pub fn new(own_ports: &[u16]) -> Result<Connector, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(AnyCertificate { algorithms: provider.signature_verification_algorithms });
        let config = ClientConfig::builder_with_provider(provider as Arc<CryptoProvider>)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Connector { tls: TlsConnector::from(Arc::new(config)), own_ports: own_ports.into() })
    }

    /// Connects to one address of a host.
    ///
    /// # Errors
    /// What stands in the way: no connection, or this very node at the other end.
    pub async fn connect(&self, address: SocketAddr, domain: &str) -> Result<TcpStream, Obstacle> {
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Obstacle::later(4, 1, format!("connecting to {address}: {error}"))),
            Err(_) => return Err(Obstacle::later(4, 1, format!("connecting to {address}: timed out"))),
        };
        let _ = stream.set_nodelay(true);
        if self.is_ourselves(&stream) { Err(loops(domain)) } else { Ok(stream) }
    }

    /// A connection of this machine with itself, to a port this node listens on.
    fn is_ourselves(&self, stream: &TcpStream) -> bool {
        let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return false };
        let same_machine = local.ip() == peer.ip() || peer.ip().to_canonical().is_loopback();
        same_machine && self.own_ports.contains(&peer.port())
    }

    /// The TLS handshake with a host of this name.
    ///
    /// # Errors
    /// When it fails or takes too long; the connection is unusable then.
    pub async fn start_tls(&self, host: &str, stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let handshake = timeout(TLS_HANDSHAKE_TIMEOUT, self.tls.connect(name, stream));
        let stream = handshake.await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Box::new(stream))
    }
}

/// Takes any certificate; the handshake itself must still be genuine.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
