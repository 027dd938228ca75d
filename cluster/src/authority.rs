//! The cluster's own certificate authority: made once by the first node, trusted for traffic between nodes only (I11).
//!
//! Every node holds the authority's key and signs its own certificate from its own node key, again and again before it
//! ends. What a node may do hangs on its node key, which the directory pins, so a certificate alone gives nothing away.

use crate::error::StartError;
use crate::files::{Files, path};
use crate::limits::{CERTIFICATE_LIFE, CERTIFICATE_LIFE_LEFT_MIN, CERTIFICATE_PREDATED};
use model::NodeId;
use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CA_KEY: &str = "ca.key";
const CA_CERTIFICATE: &str = "ca.crt";
const NODE_KEY: &str = "node.key";
const NODE_CERTIFICATE: &str = "node.crt";

/// What this node proves itself with, and what it trusts.
pub struct Authority {
    files: Files,
    node: NodeId,
    fingerprint: [u8; 32],
    node_key_hash: [u8; 32],
    reset_secret: [u8; 32],
    ca_certificate: CertificateDer<'static>,
    certified: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Authority({})", node_name(self.node))
    }
}

impl Authority {
    /// Reads keys and certificates; those that do not exist yet are made. An existing key is never replaced; the node's
    /// certificate is when it is about to end. Blocks.
    pub fn open(files: &Files, node: NodeId) -> Result<Self, StartError> {
        let ca_key = key(files, CA_KEY)?;
        let ca_certificate = ca_certificate(files, &ca_key)?;
        let node_key = key(files, NODE_KEY)?;
        let node_certificate = match read_certificate(files, NODE_CERTIFICATE)? {
            Some(certificate) if !is_due(&certificate, &ca_certificate, node, SystemTime::now()) => certificate,
            _ => issue(files, &ca_key, &node_key, node, SystemTime::now())?,
        };
        Ok(Authority {
            files: files.clone(),
            node,
            fingerprint: key_hash(&ca_key),
            node_key_hash: key_hash(&node_key),
            reset_secret: Sha256::new()
                .chain_update(b"mailnode reset")
                .chain_update(node_key.serialize_der())
                .finalize()
                .into(),
            certified: RwLock::new(Arc::new(certified(node_certificate, &ca_certificate, &node_key)?)),
            ca_certificate,
        })
    }

    /// Makes a node that was admitted a part of the cluster whose authority is given, as PEM texts. The same may be
    /// adopted again; a directory that holds another authority's key is refused and left as it is. Blocks.
    pub fn adopt(files: &Files, ca_key: &str, ca_certificate: &str, node: NodeId) -> Result<Self, StartError> {
        let given = KeyPair::from_pem(ca_key).map_err(|error| damaged(CA_KEY, error))?;
        let certificate = CertificateDer::from_pem_slice(ca_certificate.as_bytes());
        let certificate = certificate.map_err(|error| damaged(CA_CERTIFICATE, error))?;
        if certificate_key_hash(&certificate) != Some(key_hash(&given)) {
            return Err(damaged(CA_CERTIFICATE, "it is not the certificate of the authority's key"));
        }
        if files.read(CA_KEY)?.is_some() && key_hash(&key(files, CA_KEY)?) != key_hash(&given) {
            return Err(damaged(CA_KEY, "this data directory belongs to another cluster"));
        }
        files.write(CA_KEY, given.serialize_pem().as_bytes())?;
        files.write(CA_CERTIFICATE, ca_certificate.as_bytes())?;
        Self::open(files, node)
    }

    /// The hash by which the directory pins this data directory's node key, which is made when there is none: all that
    /// a node has before it is admitted. Blocks.
    pub fn prepare_node_key(files: &Files) -> Result<[u8; 32], StartError> {
        key(files, NODE_KEY).map(|key| key_hash(&key))
    }

    /// The authority's key and certificate as PEM texts, for a node that is being admitted. Blocks.
    pub fn export(&self) -> Result<(String, String), StartError> {
        let read = |name: &str| {
            let bytes = self.files.read(name)?.ok_or_else(|| damaged(name, "it is gone"))?;
            String::from_utf8(bytes).map_err(|error| damaged(name, error))
        };
        Ok((read(CA_KEY)?, read(CA_CERTIFICATE)?))
    }

    /// Signs a new certificate when the current one ends within [`CERTIFICATE_LIFE_LEFT_MIN`] of `now`; says whether it
    /// did. New connections show it at once. Blocks.
    pub fn renew_if_due(&self, now: SystemTime) -> Result<bool, StartError> {
        if !is_due(&self.node_certificate(), &self.ca_certificate, self.node, now) {
            return Ok(false);
        }
        let node_key = key(&self.files, NODE_KEY)?;
        let certificate = issue(&self.files, &key(&self.files, CA_KEY)?, &node_key, self.node, now)?;
        *self.certified.write() = Arc::new(certified(certificate, &self.ca_certificate, &node_key)?);
        Ok(true)
    }

    /// SHA-256 of the authority's public key (SubjectPublicKeyInfo, RFC 5280 section 4.1): names the cluster, and
    /// a joining node checks it before it says anything.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// SHA-256 of this node's public key (SubjectPublicKeyInfo): what the directory pins.
    pub fn node_key_hash(&self) -> [u8; 32] {
        self.node_key_hash
    }

    /// The authority's certificate.
    pub fn ca_certificate(&self) -> &CertificateDer<'static> {
        &self.ca_certificate
    }

    /// This node's certificate, signed by the authority.
    pub fn node_certificate(&self) -> CertificateDer<'static> {
        let certified = self.certified.read();
        certified.cert.first().cloned().unwrap_or_else(|| self.ca_certificate.clone())
    }

    /// The chain [node, authority] with this node's key, as shown to peers now.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.read().clone()
    }

    /// A secret that lasts as long as the node key: a restarted node can end connections of its former process with it.
    pub fn reset_secret(&self) -> [u8; 32] {
        self.reset_secret
    }
}

/// SHA-256 of the public key (SubjectPublicKeyInfo) in a certificate; `None` when it is none.
pub fn certificate_key_hash(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate).ok()?;
    Some(Sha256::digest(parsed.subject_public_key_info()).into())
}

fn key_hash(key: &KeyPair) -> [u8; 32] {
    Sha256::digest(key.subject_public_key_info()).into()
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "mailnode cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn node_params(node: NodeId, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let name = node_name(node);
    let mut params = CertificateParams::new([name.clone()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let now = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now);
    params.not_before = now - CERTIFICATE_PREDATED;
    params.not_after = now + CERTIFICATE_LIFE;
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
    let made = KeyPair::generate().map_err(cannot_make)?;
    files.write(name, made.serialize_pem().as_bytes())?;
    Ok(made)
}

fn ca_certificate(files: &Files, ca_key: &KeyPair) -> Result<CertificateDer<'static>, StartError> {
    if let Some(certificate) = read_certificate(files, CA_CERTIFICATE)? {
        return Ok(certificate);
    }
    let made = ca_params().self_signed(ca_key).map_err(cannot_make)?;
    files.write(CA_CERTIFICATE, made.pem().as_bytes())?;
    Ok(made.der().clone())
}

fn read_certificate(files: &Files, name: &str) -> Result<Option<CertificateDer<'static>>, StartError> {
    let read = files.read(name)?;
    read.map(|bytes| CertificateDer::from_pem_slice(&bytes).map_err(|error| damaged(name, error))).transpose()
}

fn issue(
    files: &Files,
    ca_key: &KeyPair,
    node_key: &KeyPair,
    node: NodeId,
    now: SystemTime,
) -> Result<CertificateDer<'static>, StartError> {
    let ca_params = ca_params();
    let issuer = Issuer::from_params(&ca_params, ca_key);
    let made = node_params(node, now).and_then(|params| params.signed_by(node_key, &issuer)).map_err(cannot_make)?;
    files.write(NODE_CERTIFICATE, made.pem().as_bytes())?;
    Ok(made.der().clone())
}

/// Whether a certificate ends too soon, or is not one that this node would make now: of another id, or without an end.
fn is_due(certificate: &CertificateDer<'_>, ca: &CertificateDer<'static>, node: NodeId, now: SystemTime) -> bool {
    let holds_in = |ahead: Duration| {
        let mut roots = RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (Ok(()), Ok(name)) = (roots.add(ca.clone()), ServerName::try_from(node_name(node))) else { return false };
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
            return false;
        };
        let at = UnixTime::since_unix_epoch(since_epoch(now) + ahead);
        verifier.verify_server_cert(certificate, &[], &name, &[], at).is_ok()
    };
    !holds_in(CERTIFICATE_LIFE_LEFT_MIN) || holds_in(CERTIFICATE_LIFE + CERTIFICATE_PREDATED)
}

fn certified(
    node: CertificateDer<'static>,
    ca: &CertificateDer<'static>,
    node_key: &KeyPair,
) -> Result<CertifiedKey, StartError> {
    let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(node_key.serialize_der()).into();
    let provider = rustls::crypto::ring::default_provider();
    let key = provider.key_provider.load_private_key(key).map_err(|error| damaged(NODE_KEY, error))?;
    Ok(CertifiedKey::new(vec![node, ca.clone()], key))
}

fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn cannot_make(error: rcgen::Error) -> StartError {
    StartError::Certificate(error.to_string())
}

fn damaged(name: &str, error: impl fmt::Display) -> StartError {
    StartError::Damaged { path: path(name), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
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
        assert_eq!(made.node_certificate(), read.node_certificate());
        assert_eq!(made.node_key_hash(), read.node_key_hash());
        assert_eq!(Authority::prepare_node_key(&files(&directory)).unwrap(), read.node_key_hash());
        assert_eq!(certificate_key_hash(&read.node_certificate()), Some(read.node_key_hash()));
        assert_eq!(certificate_key_hash(read.ca_certificate()), Some(read.fingerprint()));
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
        let trusted = |ca| !is_due(&ours.node_certificate(), ca, NodeId(7), SystemTime::now());
        assert!(trusted(ours.ca_certificate()));
        assert!(!trusted(theirs.ca_certificate()));
    }

    #[test]
    fn a_certificate_is_renewed_before_it_ends_and_keeps_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open(&files(&directory), NodeId(1)).unwrap();
        let (first, now) = (authority.node_certificate(), SystemTime::now());
        let renewing = now + CERTIFICATE_LIFE - CERTIFICATE_LIFE_LEFT_MIN;
        let day = Duration::from_secs(24 * 3600);
        assert!(!authority.renew_if_due(renewing - day).unwrap());
        assert_eq!(authority.node_certificate(), first);
        assert!(authority.renew_if_due(renewing + day).unwrap());
        assert_ne!(authority.node_certificate(), first);
        assert_eq!(certificate_key_hash(&authority.node_certificate()), Some(authority.node_key_hash()));
        assert!(!authority.renew_if_due(renewing + day).unwrap(), "once");
    }

    #[test]
    fn a_certificate_without_an_end_or_of_another_node_is_replaced_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        let first = Authority::open(&files, NodeId(1)).unwrap();
        let (ca_key, node_key) = (key(&files, CA_KEY).unwrap(), key(&files, NODE_KEY).unwrap());
        let (ca_params, mut endless) = (ca_params(), node_params(NodeId(1), SystemTime::now()).unwrap());
        endless.not_after = rcgen::date_time_ymd(4096, 1, 1);
        let endless = endless.signed_by(&node_key, &Issuer::from_params(&ca_params, &ca_key)).unwrap();
        files.write(NODE_CERTIFICATE, endless.pem().as_bytes()).unwrap();
        let second = Authority::open(&files, NodeId(1)).unwrap();
        assert_ne!(second.node_certificate(), *endless.der());
        let other = Authority::open(&files, NodeId(2)).unwrap();
        assert_ne!(other.node_certificate(), second.node_certificate());
        assert_eq!(other.node_key_hash(), first.node_key_hash());
    }

    #[test]
    fn an_adopted_authority_is_the_same_and_never_replaces_another() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let founder = Authority::open(&files(&here), NodeId(1)).unwrap();
        let (ca_key, ca_certificate) = founder.export().unwrap();
        let hash = Authority::prepare_node_key(&files(&there)).unwrap();
        for _ in 0..2 {
            let joined = Authority::adopt(&files(&there), &ca_key, &ca_certificate, NodeId(2)).unwrap();
            assert_eq!(joined.fingerprint(), founder.fingerprint());
            assert_eq!(joined.node_key_hash(), hash);
            assert!(!is_due(&joined.node_certificate(), founder.ca_certificate(), NodeId(2), SystemTime::now()));
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let stranger = Authority::open(&files(&elsewhere), NodeId(1)).unwrap();
        let (strange_key, strange_certificate) = stranger.export().unwrap();
        let refused = Authority::adopt(&files(&there), &strange_key, &strange_certificate, NodeId(2));
        assert!(matches!(refused, Err(StartError::Damaged { .. })), "{refused:?}");
        let mixed = Authority::adopt(&files(&there), &ca_key, &strange_certificate, NodeId(2));
        assert!(matches!(mixed, Err(StartError::Damaged { .. })), "{mixed:?}");
        assert_eq!(Authority::open(&files(&there), NodeId(2)).unwrap().fingerprint(), founder.fingerprint());
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
