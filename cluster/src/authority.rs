//! The cluster's own certificate authority: made once by the first node, trusted for traffic between nodes only (I11).

use crate::error::StartError;
use crate::files::{Files, path};
use model::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

const CA_KEY: &str = "ca.key";
const CA_CERTIFICATE: &str = "ca.crt";
const NODE_KEY: &str = "node.key";
const NODE_CERTIFICATE: &str = "node.crt";

/// What this node proves itself with, and what it trusts.
pub struct Authority {
    fingerprint: [u8; 32],
    /// The authority's certificate.
    pub ca_certificate: CertificateDer<'static>,
    /// This node's certificate, signed by the authority.
    pub node_certificate: CertificateDer<'static>,
    node_key: Vec<u8>,
}

impl Authority {
    /// Reads keys and certificates; those that do not exist yet are made. An existing key is never replaced.
    pub fn open(files: &Files, node: NodeId) -> Result<Self, StartError> {
        let ca_key = key(files, CA_KEY)?;
        let ca_params = ca_params();
        let ca_certificate = certificate(files, CA_CERTIFICATE, || ca_params.self_signed(&ca_key))?;
        let node_key = key(files, NODE_KEY)?;
        let issuer = Issuer::from_params(&ca_params, &ca_key);
        let node_certificate =
            certificate(files, NODE_CERTIFICATE, || node_params(node)?.signed_by(&node_key, &issuer))?;
        let fingerprint = Sha256::digest(ca_key.subject_public_key_info()).into();
        Ok(Authority { fingerprint, ca_certificate, node_certificate, node_key: node_key.serialize_der() })
    }

    /// SHA-256 of the authority's public key (SubjectPublicKeyInfo, RFC 5280 section 4.1): names the cluster, and
    /// a joining node checks it before it says anything.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// This node's private key.
    pub fn node_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.node_key.clone()).into()
    }
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "mailnode cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn node_params(node: NodeId) -> Result<CertificateParams, rcgen::Error> {
    let name = node_name(node);
    let mut params = CertificateParams::new([name.clone()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// The name in a node's certificate. The id, not the host name, which may change.
pub fn node_name(node: NodeId) -> String {
    format!("node-{}.mailnode.internal", node.0)
}

fn key(files: &Files, name: &str) -> Result<KeyPair, StartError> {
    if let Some(bytes) = files.read(name)? {
        let text = String::from_utf8(bytes).map_err(|error| damaged(name, error))?;
        return KeyPair::from_pem(&text).map_err(|error| damaged(name, error));
    }
    let made = KeyPair::generate().map_err(|error| StartError::Certificate(error.to_string()))?;
    files.write(name, made.serialize_pem().as_bytes())?;
    Ok(made)
}

fn certificate(
    files: &Files,
    name: &str,
    make: impl FnOnce() -> Result<rcgen::Certificate, rcgen::Error>,
) -> Result<CertificateDer<'static>, StartError> {
    if let Some(bytes) = files.read(name)? {
        return CertificateDer::from_pem_slice(&bytes).map_err(|error| damaged(name, error));
    }
    let made = make().map_err(|error| StartError::Certificate(error.to_string()))?;
    files.write(name, made.pem().as_bytes())?;
    Ok(made.der().clone())
}

fn damaged(name: &str, error: impl std::fmt::Display) -> StartError {
    StartError::Damaged { path: path(name), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::UnixTime;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use storage::disk::RealDisk;

    fn files(directory: &tempfile::TempDir) -> Files {
        Files::open(Arc::new(RealDisk::open(directory.path()).unwrap())).unwrap()
    }

    #[test]
    fn keys_survive_a_restart_and_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let made = Authority::open(&files(&directory), NodeId(1)).unwrap();
        let read = Authority::open(&files(&directory), NodeId(1)).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert_eq!(made.node_certificate, read.node_certificate);
        assert_eq!(made.node_key(), read.node_key());
        for name in [CA_KEY, CA_CERTIFICATE, NODE_KEY, NODE_CERTIFICATE] {
            let metadata = std::fs::metadata(directory.path().join(path(name))).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn the_nodes_certificate_is_trusted_under_the_authority_and_under_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let ours = Authority::open(&files(&directory), NodeId(7)).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let theirs = Authority::open(&files(&elsewhere), NodeId(7)).unwrap();
        let check = |ca: &CertificateDer<'static>| {
            let mut roots = RootCertStore::empty();
            roots.add(ca.clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            let name = node_name(NodeId(7)).try_into().unwrap();
            verifier.verify_server_cert(&ours.node_certificate, &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(check(&ours.ca_certificate));
        assert!(!check(&theirs.ca_certificate));
    }

    #[test]
    fn a_damaged_key_is_an_error_and_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        Authority::open(&files, NodeId(1)).unwrap();
        files.write(CA_KEY, b"not a key").unwrap();
        assert!(matches!(Authority::open(&files, NodeId(1)), Err(StartError::Damaged { .. })));
        assert_eq!(files.read(CA_KEY).unwrap().unwrap(), b"not a key");
    }
}
