//! What an invitation looks like, and how a node proves that it has one without showing it.
//!
//! ```text
//! MN1.<fingerprint of the cluster's authority>.<id>.<secret>      each in hexadecimal
//! proof = HMAC-SHA256(key SHA-256(secret), keying material of the connection | what the node says of itself)
//! ```
//!
//! The fingerprint lets the newcomer know the cluster before it says anything; the proof is worth nothing on another
//! connection or for another node.

use crate::hex;
use hmac::{Hmac, Mac};
use model::codec;
use model::directory::row::{NodeFacts, TokenId};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "MN1";

/// An invitation for one node.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the authority's public key.
    pub fingerprint: [u8; 32],
    /// Its name in the directory.
    pub id: TokenId,
    /// What only the invited know.
    pub secret: [u8; 32],
}

impl Token {
    /// What the directory keeps of the secret, and the key of the proof.
    pub fn key(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { fingerprint, id, secret } = self;
        write!(out, "{PREFIX}.{}.{}.{}", hex::encode(fingerprint), hex::encode(id), hex::encode(secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Token({}, secret not shown)", hex::encode(&self.id))
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().split('.');
        let mut part = || parts.next().unwrap_or_default();
        if part() != PREFIX {
            return Err("not a token: it begins with MN1, see: mailnode token create");
        }
        let read = (hex::decode(part()), hex::decode(part()), hex::decode(part()), parts.next());
        match read {
            (Some(fingerprint), Some(id), Some(secret), None) => Ok(Token { fingerprint, id, secret }),
            _ => Err("the token is cut short or mistyped"),
        }
    }
}

/// Proves to whoever knows `key` that the node of these facts, on this connection, knows it too.
pub fn prove(key: &[u8; 32], binding: &[u8; 32], facts: &NodeFacts) -> [u8; 32] {
    mac(key, binding, facts).finalize().into_bytes().into()
}

/// Whether a proof holds. Takes the same time whatever is wrong with it.
pub fn is_proved(key: &[u8; 32], binding: &[u8; 32], facts: &NodeFacts, proof: &[u8; 32]) -> bool {
    mac(key, binding, facts).verify_slice(proof).is_ok()
}

fn mac(key: &[u8; 32], binding: &[u8; 32], facts: &NodeFacts) -> Hmac<Sha256> {
    let mut block = [0; 64];
    // A key shorter than the block is padded with zeroes (RFC 2104 section 2): given whole it cannot be refused.
    for (padded, byte) in block.iter_mut().zip(key) {
        *padded = *byte;
    }
    let mut mac = <Hmac<Sha256> as Mac>::new(&block.into());
    mac.update(binding);
    mac.update(&codec::encode(facts));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token { fingerprint: [1; 32], id: [2; 8], secret: [3; 32] }
    }

    #[test]
    fn a_token_is_read_back_and_a_damaged_one_refused() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        let damaged = ["", "MN1", "MN2.1.2.3", &text[..text.len() - 1], &format!("{text}.x"), &text.replace('.', "-")];
        assert!(damaged.iter().all(|text| text.parse::<Token>().is_err()));
        assert!(!format!("{:?}", token()).contains("0303"));
    }

    #[test]
    fn a_proof_holds_for_one_secret_connection_and_node() {
        let facts = NodeFacts { name: "two".into(), key: [9; 32], ..NodeFacts::default() };
        let (key, binding) = (token().key(), [7; 32]);
        let proof = prove(&key, &binding, &facts);
        assert!(is_proved(&key, &binding, &facts, &proof));
        assert!(!is_proved(&[0; 32], &binding, &facts, &proof));
        assert!(!is_proved(&key, &[8; 32], &facts, &proof));
        assert!(!is_proved(&key, &binding, &NodeFacts { name: "too".into(), ..facts.clone() }, &proof));
        assert!(!is_proved(&key, &binding, &NodeFacts { key: [8; 32], ..facts.clone() }, &proof));
        assert!(!is_proved(&key, &binding, &facts, &[0; 32]));
    }

    #[test]
    fn the_mac_is_the_one_of_the_standard() {
        // RFC 4231 section 4.3 has a short key; padding it by hand must not change the result.
        let facts = NodeFacts::default();
        let mut plain = <Hmac<Sha256> as Mac>::new_from_slice(&[5; 32]).unwrap();
        plain.update(&[6; 32]);
        plain.update(&codec::encode(&facts));
        assert_eq!(prove(&[5; 32], &[6; 32], &facts), <[u8; 32]>::from(plain.finalize().into_bytes()));
    }
}
