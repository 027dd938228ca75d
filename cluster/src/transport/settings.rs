//! How QUIC and TLS are set up: who must prove what, how long silence may last, how much may be on its way.

use crate::authority::Authority;
use crate::limits::{
    BULK_STREAM_WINDOW, CONNECTION_WINDOW, CONTROL_STREAM_WINDOW, HANDSHAKES_MAX, KEEP_ALIVE_INTERVAL,
    PROBE_BYTES_KEPT, ROUND_TRIP_ASSUMED, SILENCE_MAX, STREAMS_MAX,
};
use crate::transport::error::TransportError;
use crate::transport::service::Lane;
use crate::transport::{JOIN_PROTOCOL, MEMBER_PROTOCOL};
use hmac::{Hmac, Mac};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig,
    VarInt,
};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use sha2::Sha256;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// The accepting side. Whoever shows a certificate must show one of this cluster's; whoever shows none can only ask
/// to join, which is seen to after the handshake.
pub fn server(authority: &Arc<Authority>) -> Result<ServerConfig, TransportError> {
    let clients = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider());
    let clients = clients.allow_unauthenticated().build().map_err(tls)?;
    let config = rustls::ServerConfig::builder_with_provider(provider());
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).map_err(tls)?;
    let resolver = Arc::new(Current(authority.clone()));
    let mut config = config.with_client_cert_verifier(clients).with_cert_resolver(resolver);
    config.alpn_protocols = vec![MEMBER_PROTOCOL.into(), JOIN_PROTOCOL.into()];
    // Connections are few and long-lived; every one proves itself anew.
    config.send_tls13_tickets = 0;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).map_err(tls)?));
    config.max_incoming(HANDSHAKES_MAX).migration(false);
    config.transport_config(Arc::new(transport(Side::Accepting)));
    Ok(config)
}

/// The dialing side of a lane between members.
pub fn client(authority: &Arc<Authority>, lane: Lane) -> Result<ClientConfig, TransportError> {
    let servers = WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider()).build().map_err(tls)?;
    let config = rustls::ClientConfig::builder_with_provider(provider());
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).map_err(tls)?;
    let resolver = Arc::new(Current(authority.clone()));
    let mut config = config.with_webpki_verifier(servers).with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![MEMBER_PROTOCOL.into()];
    finish_client(config, Side::Dialing(lane))
}

/// QUIC around the TLS configuration of a dialing side.
pub fn finish_client(mut config: rustls::ClientConfig, side: Side) -> Result<ClientConfig, TransportError> {
    config.resumption = Resumption::disabled();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).map_err(tls)?));
    config.transport_config(Arc::new(transport(side)));
    Ok(config)
}

/// The endpoint. Its reset key outlives the process: peers of a restarted node learn at their next packet that their
/// connection is gone (RFC 9000 section 10.3), not after a silence.
pub fn endpoint(authority: &Authority) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(ResetKey(authority.reset_secret())));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// The algorithms of TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Something of TLS that cannot be.
pub fn tls(error: impl Display) -> TransportError {
    TransportError::Tls(error.to_string())
}

fn roots(authority: &Authority) -> Result<Arc<RootCertStore>, TransportError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca_certificate().clone()).map_err(tls)?;
    Ok(Arc::new(roots))
}

/// Which end of which connection.
#[derive(Clone, Copy)]
pub enum Side {
    /// Whoever connects opens the streams.
    Accepting,
    /// A lane to a peer. Either side opens one stream for its hello.
    Dialing(Lane),
    /// A connection for one question.
    Asking,
}

fn transport(side: Side) -> TransportConfig {
    let (calls_in, hellos_in, stream_window) = match side {
        Side::Accepting => (STREAMS_MAX, 1, BULK_STREAM_WINDOW),
        Side::Dialing(Lane::Control) => (0, 1, CONTROL_STREAM_WINDOW),
        Side::Dialing(Lane::Bulk) => (0, 1, BULK_STREAM_WINDOW),
        Side::Asking => (0, 0, CONTROL_STREAM_WINDOW),
    };
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(calls_in))
        .max_concurrent_uni_streams(VarInt::from_u32(hellos_in))
        .stream_receive_window(VarInt::from_u32(stream_window))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .max_idle_timeout(IdleTimeout::try_from(SILENCE_MAX).ok())
        .initial_rtt(ROUND_TRIP_ASSUMED)
        // Datagrams are never read: what arrives was acknowledged, which is all that is asked (see `twin`).
        .datagram_receive_buffer_size(Some(PROBE_BYTES_KEPT));
    // One side is enough to keep a connection alive.
    if let Side::Dialing(_) = side {
        config.keep_alive_interval(Some(KEEP_ALIVE_INTERVAL));
    }
    config
}

/// Shows the certificate as it is at the time of the handshake.
#[derive(Debug)]
struct Current(Arc<Authority>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.certified())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.certified())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct ResetKey([u8; 32]);

impl ResetKey {
    fn mac(&self, data: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length (RFC 2104 section 2).
        let mut mac = match <Hmac<Sha256> as Mac>::new_from_slice(&self.0) {
            Ok(mac) => mac,
            Err(error) => unreachable!("{error}"),
        };
        mac.update(data);
        mac
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let signature = self.mac(data).finalize().into_bytes();
        signature_out.iter_mut().zip(signature).for_each(|(out, byte)| *out = byte);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.mac(data).verify_slice(signature).map_err(|_| CryptoError)
    }
}

/// Connection ids that a restarted endpoint recognises as possibly its own: all of the right length.
struct RandomIds;

const ID_BYTES: usize = 12;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; ID_BYTES];
        if let Err(error) = getrandom::fill(&mut bytes) {
            // The kernel gives randomness from early boot on; keys could not be made without it either.
            unreachable!("no randomness: {error}");
        }
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
