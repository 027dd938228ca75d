//! Server side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, and the keys an account keeps for it.
//! One type per waiting state, so that a message cannot be taken in the wrong one.

use super::{Failure, Material, Password, prepare_name, text};
use crate::limits::sasl::{NONCE_BYTES_MAX, SCRAM_ITERATIONS_MAX, SCRAM_SALT_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// What an account keeps so that its owner can prove to know the password: nothing that can log in elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Random bytes of this account, [`SCRAM_SALT_BYTES`] long when made by this code.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// `H(HMAC(SaltedPassword, "Client Key"))`.
    pub stored_key: [u8; 32],
    /// `HMAC(SaltedPassword, "Server Key")`.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl ScramKeys {
    /// Derives the keys from a prepared password (see [`super::prepare_password`]). Takes milliseconds.
    ///
    /// # Errors
    /// `TooLong` when `iterations` is above the bound, `Malformed` when it is zero.
    pub fn derive(password: &Password, salt: &[u8], iterations: u32) -> Result<ScramKeys, Failure> {
        if iterations > SCRAM_ITERATIONS_MAX {
            return Err(Failure::TooLong);
        }
        if iterations == 0 {
            return Err(Failure::Malformed);
        }
        let mut salted = Zeroizing::new([0_u8; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, salted.as_mut());
        let client_key = Zeroizing::new(hmac(salted.as_ref(), &[b"Client Key"]));
        Ok(ScramKeys {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(client_key.as_ref()).into(),
            server_key: hmac(salted.as_ref(), &[b"Server Key"]),
        })
    }

    /// Keys that no password fits, the same each time for the same name, so that guessing finds no accounts.
    fn made_up(username: &str, material: &Material) -> ScramKeys {
        let mut salt = hmac(&material.fake_salt_key, &[b"salt", username.as_bytes()]).to_vec();
        salt.truncate(SCRAM_SALT_BYTES);
        ScramKeys {
            salt,
            iterations: material.fake_iterations,
            stored_key: hmac(&material.fake_salt_key, &[b"stored", username.as_bytes()]),
            server_key: hmac(&material.fake_salt_key, &[b"server", username.as_bytes()]),
        }
    }
}

/// The client's first message is here; the keys of the account are awaited.
pub(super) struct AwaitKeys {
    username: String,
    authzid: Option<String>,
    gs2_header: String,
    client_first_bare: String,
    client_nonce: String,
    material: Material,
}

/// The server's first message is sent; the client's proof is awaited.
pub(super) struct AwaitFinal {
    username: String,
    authzid: Option<String>,
    gs2_header: String,
    nonce: String,
    /// `client-first-message-bare "," server-first-message`, the beginning of AuthMessage.
    exchanged: String,
    keys: ScramKeys,
    known: bool,
}

/// The proof was right.
pub(super) struct Verified {
    pub(super) username: String,
    pub(super) authzid: Option<String>,
    /// `v=` and the server's own proof, to be sent as last challenge.
    pub(super) server_final: Vec<u8>,
}

/// ```abnf
/// client-first-message      = gs2-header client-first-message-bare
/// gs2-header                = gs2-cbind-flag "," [ "a=" saslname ] ","
/// gs2-cbind-flag            = ("p=" cb-name) / "n" / "y"
/// client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]   ; RFC 5802 section 7
/// ```
pub(super) fn client_first(message: &[u8], material: Material) -> Result<AwaitKeys, Failure> {
    let message = text(message)?;
    let mut parts = message.splitn(3, ',');
    let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Failure::Malformed);
    };
    match flag {
        // "y": the client could bind but thinks the server cannot, which is true here.
        "n" | "y" => {}
        _ if flag.starts_with("p=") => return Err(Failure::ChannelBinding),
        _ => return Err(Failure::Malformed),
    }
    let authzid = match authzid.strip_prefix("a=") {
        Some(name) => Some(prepare_name(&unescape(name)?)?),
        None if authzid.is_empty() => None,
        None => return Err(Failure::Malformed),
    };
    if bare.starts_with("m=") {
        return Err(Failure::Extension);
    }
    let mut attributes = bare.split(',');
    let username = attributes.next().and_then(|field| field.strip_prefix("n=")).ok_or(Failure::Malformed)?;
    let nonce = attributes.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failure::Malformed)?;
    if nonce.len() > NONCE_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::Malformed);
    }
    let username = prepare_name(&unescape(username)?)?;
    Ok(AwaitKeys {
        authzid: authzid.filter(|identity| *identity != username),
        username,
        gs2_header: message.strip_suffix(bare).unwrap_or_default().to_owned(),
        client_first_bare: bare.to_owned(),
        client_nonce: nonce.to_owned(),
        material,
    })
}

impl AwaitKeys {
    /// Whose keys are awaited.
    pub(super) fn username(&self) -> &str {
        &self.username
    }

    /// Makes the server's first message.
    pub(super) fn challenge(self, keys: Option<ScramKeys>) -> (AwaitFinal, Vec<u8>) {
        let known = keys.is_some();
        let keys = keys.unwrap_or_else(|| ScramKeys::made_up(&self.username, &self.material));
        let nonce = format!("{}{}", self.client_nonce, self.material.nonce);
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let next = AwaitFinal {
            username: self.username,
            authzid: self.authzid,
            gs2_header: self.gs2_header,
            exchanged: format!("{},{server_first}", self.client_first_bare),
            nonce,
            keys,
            known,
        };
        (next, server_first.into_bytes())
    }
}

impl AwaitFinal {
    /// ```abnf
    /// client-final-message-without-proof = channel-binding "," nonce ["," extensions]
    /// client-final-message               = client-final-message-without-proof "," proof   ; RFC 5802 section 7
    /// ```
    pub(super) fn verify(self, message: &[u8]) -> Result<Verified, Failure> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|field| field.strip_prefix("c=")).ok_or(Failure::Malformed)?;
        let nonce = attributes.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        // RFC 5802 section 6: the binding repeats the GS2 header, so that it cannot be changed on the way.
        if STANDARD.decode(binding).ok().as_deref() != Some(self.gs2_header.as_bytes()) || nonce != self.nonce {
            return Err(Failure::Malformed);
        }
        let proof: [u8; 32] =
            STANDARD.decode(proof).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Failure::Malformed)?;
        let auth_message: [&[u8]; 3] = [self.exchanged.as_bytes(), b",", without_proof.as_bytes()];
        // RFC 5802 section 3: ClientKey is ClientProof xor ClientSignature, and its hash must be the stored key.
        let mut client_key = hmac(&self.keys.stored_key, &auth_message);
        for (byte, proven) in client_key.iter_mut().zip(proof) {
            *byte ^= proven;
        }
        let proven = Sha256::digest(client_key).ct_eq(&self.keys.stored_key);
        if !bool::from(proven) || !self.known {
            return Err(Failure::BadCredentials);
        }
        let signature = hmac(&self.keys.server_key, &auth_message);
        let server_final = format!("v={}", STANDARD.encode(signature)).into_bytes();
        Ok(Verified { username: self.username, authzid: self.authzid, server_final })
    }
}

/// `saslname`: `=2C` is a comma, `=3D` an equals sign, any other `=` is an error (RFC 5802 section 5.1).
fn unescape(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Failure::Malformed),
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    Ok(plain)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length, so the error arm is never taken; an all-zero key would match no stored one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::super::{Mechanism, Server, Step};
    use super::*;

    /// The example of RFC 7677 section 3.
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &[u8] =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn material() -> Material {
        Material { nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".into(), fake_salt_key: [9; 32], fake_iterations: 4096 }
    }

    fn keys() -> ScramKeys {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        ScramKeys::derive(&Password::new("pencil".into()), &salt, 4096).unwrap()
    }

    #[test]
    fn the_example_of_rfc_7677_works() {
        let (mut server, step) = Server::start(Mechanism::ScramSha256, material(), Some(CLIENT_FIRST));
        assert_eq!(step, Step::NeedScram { username: "user".into() });
        assert_eq!(server.scram_keys(Some(keys())), Step::Challenge(SERVER_FIRST.to_vec()));
        assert_eq!(server.respond(CLIENT_FINAL), Step::Challenge(SERVER_FINAL.to_vec()));
        assert_eq!(server.respond(b""), Step::Done { username: "user".into(), authzid: None });
    }

    #[test]
    fn a_wrong_proof_nonce_or_binding_fails() {
        let good = String::from_utf8(CLIENT_FINAL.to_vec()).unwrap();
        for (bad, failure) in [
            (good.replace("p=dHz", "p=dHy"), Failure::BadCredentials),
            (good.replace("r=rO", "r=rP"), Failure::Malformed),
            (good.replace("c=biws", "c=eSws"), Failure::Malformed),
            (good.replace(",p=", ",q="), Failure::Malformed),
        ] {
            let (mut server, _) = Server::start(Mechanism::ScramSha256, material(), Some(CLIENT_FIRST));
            server.scram_keys(Some(keys()));
            assert_eq!(server.respond(bad.as_bytes()), Step::Failed(failure), "{bad}");
        }
    }

    #[test]
    fn an_unknown_user_gets_the_same_salt_each_time_and_fails_only_at_the_end() {
        let challenge = |name: &str| {
            let first = format!("n,,n={name},r=abc");
            let (mut server, _) = Server::start(Mechanism::ScramSha256, material(), Some(first.as_bytes()));
            let step = server.scram_keys(None);
            let Step::Challenge(challenge) = step else { panic!("{step:?}") };
            let nonce = format!("abc{}", material().nonce);
            let proof = STANDARD.encode([0; 32]);
            let last = server.respond(format!("c=biws,r={nonce},p={proof}").as_bytes());
            assert_eq!(last, Step::Failed(Failure::BadCredentials));
            challenge
        };
        assert_eq!(challenge("nobody"), challenge("nobody"));
        assert_ne!(challenge("nobody"), challenge("noone"));
        assert!(String::from_utf8(challenge("nobody")).unwrap().ends_with(",i=4096"));
    }

    #[test]
    fn gs2_headers_are_taken_or_refused_as_the_rfc_says() {
        let start = |first: &[u8]| Server::start(Mechanism::ScramSha256, material(), Some(first)).1;
        assert_eq!(start(b"y,,n=user,r=abc"), Step::NeedScram { username: "user".into() });
        assert_eq!(start(b"n,a=boss,n=us=2Cer=3D,r=abc"), Step::NeedScram { username: "us,er=".into() });
        assert_eq!(start(b"p=tls-exporter,,n=user,r=abc"), Step::Failed(Failure::ChannelBinding));
        assert_eq!(start(b"n,,m=x,n=user,r=abc"), Step::Failed(Failure::Extension));
        for bad in [
            &b""[..],
            b"n",
            b"n,,",
            b"n,,n=user",
            b"n,,n=us=er,r=abc",
            b"n,,n=user,r=",
            b"z,,n=user,r=abc",
            b"n,b,n=user,r=abc",
        ] {
            assert_eq!(start(bad), Step::Failed(Failure::Malformed), "{bad:?}");
        }
    }
}
