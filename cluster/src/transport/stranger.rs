//! Nodes that are no members yet: one question on a connection of its own. The asker pins the cluster's authority and
//! shows no certificate; what it may do is the handler's decision.

use crate::authority::certificate_key_hash;
use crate::limits::{DIAL_TIMEOUT, HANDSHAKE_TIMEOUT, STRANGER_BYTES_MAX};
use crate::runtime::{Instant, timeout, timeout_at};
use crate::transport::dial::resolve;
use crate::transport::error::{CallError, Code, JoinError, tell};
use crate::transport::frame::{ANSWERED, Duplex, FrameReceiver, FrameSender, REFUSED};
use crate::transport::settings::{self, Side};
use crate::transport::{JOIN_PROTOCOL, Shared, VERSION};
use bytes::Bytes;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Separates this use of keying material from any other (RFC 5705 section 4).
const BINDING_LABEL: &[u8] = b"EXPORTER-mailnode-join";
/// The name asked for; the verifier does not look at it.
const SERVER_NAME: &str = "join.mailnode.internal";

/// Answers the one question of a stranger.
pub async fn serve(shared: &Shared, connection: Connection) {
    let Ok(permit) = shared.strangers.clone().try_acquire_owned() else {
        connection.close(Code::Busy.number(), b"too many nodes are joining; try again");
        return;
    };
    let from = connection.remote_address().ip().to_string();
    match timeout(HANDSHAKE_TIMEOUT, hear(&connection)).await {
        Ok(Ok((mut sender, request))) => {
            let answer = match binding(&connection) {
                Some(binding) => shared.handler.stranger(binding, request).await,
                None => Err("the connection cannot be bound".into()),
            };
            if let Err(reason) = &answer {
                shared.complaints.log(&from, &format!("a node was not admitted: {reason}"));
            }
            if sender.answer(answer).await.is_ok() {
                // Until the answer has arrived; the asker closes.
                let _ = timeout(HANDSHAKE_TIMEOUT, connection.closed()).await;
            }
        }
        Ok(Err(reason)) => {
            shared.complaints.log(&from, &format!("a node that asks to join sent no request: {reason}"));
        }
        Err(_) => {
            shared.complaints.log(&from, "a node that asks to join sent no request in time");
        }
    }
    connection.close(Code::Done.number(), b"");
    drop(permit);
}

async fn hear(connection: &Connection) -> Result<(FrameSender, Bytes), CallError> {
    let (send, mut receive) = connection.accept_bi().await.map_err(CallError::before_asking)?;
    let mut version = [0];
    let read = receive.read_exact(&mut version).await;
    if read.is_err() || version != [VERSION] {
        return Err(CallError::Refused(format!("version {version:?} is not spoken here")));
    }
    let request = FrameReceiver::new(receive, STRANGER_BYTES_MAX).next().await?;
    let request = request.ok_or_else(|| CallError::Refused("the request is missing".into()))?;
    Ok((FrameSender::new(send), request))
}

fn binding(connection: &Connection) -> Option<[u8; 32]> {
    let mut binding = [0; 32];
    connection.export_keying_material(&mut binding, BINDING_LABEL, &[]).ok()?;
    Some(binding)
}

/// Asks a node of the cluster whose authority's key has this fingerprint. `request` makes the request from the keying
/// material of the connection, after the other side has proved that it is of that cluster.
pub async fn ask_as_stranger(
    address: &str,
    fingerprint: [u8; 32],
    request: impl FnOnce([u8; 32]) -> Bytes,
    deadline: Instant,
) -> Result<Bytes, JoinError> {
    let mut reason = JoinError::Address(format!("{address} has no address"));
    for address in resolve(address).await.map_err(JoinError::Address)? {
        let connected = timeout_at(deadline, timeout(DIAL_TIMEOUT, connect(address, fingerprint))).await;
        match connected {
            Ok(Ok(Ok((endpoint, connection)))) => {
                let answer = timeout_at(deadline, ask(&connection, request)).await;
                connection.close(Code::Done.number(), b"");
                endpoint.wait_idle().await;
                return answer.unwrap_or_else(|_| Err(JoinError::Unknown("it took too long".into())));
            }
            Ok(Ok(Err(error))) => reason = error,
            _ => reason = JoinError::Unreachable(format!("{address} does not answer")),
        }
    }
    Err(reason)
}

async fn connect(address: SocketAddr, fingerprint: [u8; 32]) -> Result<(Endpoint, Connection), JoinError> {
    let unreachable = |error: &dyn std::fmt::Display| JoinError::Unreachable(format!("{address}: {error}"));
    let bind = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let pinned = Arc::new(Pinned { fingerprint, mismatched: AtomicBool::new(false) });
    let config = client(pinned.clone()).map_err(|error| unreachable(&error))?;
    let endpoint = Endpoint::client(bind).map_err(|error| unreachable(&error))?;
    let connecting = endpoint.connect_with(config, address, SERVER_NAME).map_err(|error| unreachable(&error))?;
    match connecting.await {
        Ok(connection) => Ok((endpoint, connection)),
        Err(_) if pinned.mismatched.load(Ordering::Acquire) => Err(JoinError::OtherCluster),
        Err(error) => Err(unreachable(&tell(&error))),
    }
}

fn client(pinned: Arc<Pinned>) -> Result<ClientConfig, crate::transport::TransportError> {
    let config = rustls::ClientConfig::builder_with_provider(settings::provider());
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).map_err(settings::tls)?;
    let mut config = config.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth();
    config.alpn_protocols = vec![JOIN_PROTOCOL.into()];
    settings::finish_client(config, Side::Asking)
}

async fn ask(connection: &Connection, request: impl FnOnce([u8; 32]) -> Bytes) -> Result<Bytes, JoinError> {
    let not_asked = |error: CallError| JoinError::Unreachable(error.to_string());
    let binding = binding(connection).ok_or_else(|| JoinError::Unreachable("no keying material".into()))?;
    let (send, receive) = connection.open_bi().await.map_err(|error| not_asked(CallError::before_asking(error)))?;
    let receiver = FrameReceiver::new(receive, STRANGER_BYTES_MAX);
    let mut duplex = Duplex { sender: FrameSender::new(send), receiver };
    duplex.sender.begin(&[VERSION], request(binding)).await.map_err(not_asked)?;
    duplex.sender.finish().map_err(not_asked)?;
    let answer = duplex.receiver.next().await.map_err(|error| JoinError::Unknown(error.to_string()))?;
    let mut answer = answer.ok_or_else(|| JoinError::Unknown("the answer is missing".into()))?;
    match answer.first().copied() {
        Some(ANSWERED) => Ok(answer.split_off(1)),
        Some(REFUSED) => Err(JoinError::Refused(String::from_utf8_lossy(&answer.split_off(1)).into_owned())),
        _ => Err(JoinError::Unknown("the answer has no known status".into())),
    }
}

/// Takes any node whose chain ends at the authority with the pinned key.
#[derive(Debug)]
struct Pinned {
    fingerprint: [u8; 32],
    mismatched: AtomicBool,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut shown = intermediates.iter();
        let Some(ca) = shown.find(|shown| certificate_key_hash(shown) == Some(self.fingerprint)) else {
            self.mismatched.store(true, Ordering::Release);
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let algorithms = settings::provider().signature_verification_algorithms;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], now, algorithms.all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("QUIC has no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = settings::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        settings::provider().signature_verification_algorithms.supported_schemes()
    }
}
