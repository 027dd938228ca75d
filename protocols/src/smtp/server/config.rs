//! What a server machine is told at its start.

use super::super::envelope::TlsInfo;
use crate::limits::sasl::SCRAM_ITERATIONS;
use crate::sasl::{Material, Mechanism};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Which service the port offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Mail from other hosts, port 25: no AUTH.
    Mx,
    /// Mail from users, ports 587 and 465 (RFC 6409): AUTH needed before MAIL.
    Submission,
    /// Mail from a local agent (RFC 2033): LHLO, one reply per recipient.
    Lmtp,
}

/// The TLS layer at the start of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// There is none and none is offered.
    Absent,
    /// STARTTLS is offered.
    Offered,
    /// The connection began with TLS, as on port 465, or STARTTLS was done.
    Active(TlsInfo),
}

/// What AUTH needs and the machine may not make itself.
#[derive(Clone)]
pub struct AuthMaterial {
    /// Fresh random bytes for this session.
    pub session_random: [u8; 32],
    /// The node's secret behind the made-up salts of unknown users.
    pub fake_salt_key: [u8; 32],
    /// The SCRAM iteration count of this cluster's accounts.
    pub iterations: u32,
}

impl AuthMaterial {
    /// With the default iteration count.
    pub fn new(session_random: [u8; 32], fake_salt_key: [u8; 32]) -> AuthMaterial {
        AuthMaterial { session_random, fake_salt_key, iterations: SCRAM_ITERATIONS }
    }

    /// The material of exchange number `exchange` of this session; each has its own nonce.
    pub(super) fn exchange(&self, exchange: u32) -> Material {
        let mut nonce = [0; 18];
        // HMAC takes a key of any length, so there is always a digest.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.session_random) {
            mac.update(&exchange.to_be_bytes());
            for (to, from) in nonce.iter_mut().zip(mac.finalize().into_bytes()) {
                *to = from;
            }
        }
        Material::new(&nonce, self.fake_salt_key).with_fake_iterations(self.iterations)
    }
}

impl std::fmt::Debug for AuthMaterial {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AuthMaterial(..)")
    }
}

/// Configuration of one session.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of this host in greeting, EHLO reply and `<Postmaster>`.
    pub hostname: String,
    /// Which service.
    pub service: Service,
    /// Most bytes of a message, announced by SIZE (RFC 1870).
    pub message_bytes_max: u64,
    /// The TLS layer at the start.
    pub tls: Tls,
    /// Whether the peer is this machine, so that readable passwords are safe without TLS.
    pub peer_is_loopback: bool,
    /// Needed for AUTH on `Submission`; without it AUTH is not offered there and nobody can send.
    pub auth: Option<AuthMaterial>,
}

impl Config {
    /// The mechanisms to offer under the given TLS state: readable passwords only under TLS or on loopback.
    pub(super) fn mechanisms(&self, tls_active: bool) -> impl Iterator<Item = Mechanism> {
        let offered = self.service == Service::Submission && self.auth.is_some();
        let safe = tls_active || self.peer_is_loopback;
        Mechanism::ALL.into_iter().filter(move |mechanism| offered && (safe || !mechanism.reveals_password()))
    }
}
