//! Compares a password with a kept hash, our own or a foreign one. Takes a processor for milliseconds to seconds: only
//! for blocking threads.

use super::foreign::{self, Foreign, Function};
use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use sha_crypt::ShaCrypt;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Whether this is the password of a hash as the directory keeps it.
pub fn fits(password: &[u8], hash: &str) -> bool {
    if hash.starts_with('{') {
        foreign::parse(hash).is_ok_and(|foreign| fits_foreign(password, &foreign))
    } else {
        fits_argon2(password, hash)
    }
}

fn fits_argon2(password: &[u8], hash: &str) -> bool {
    PasswordVerifier::<str>::verify_password(&Argon2::default(), password, hash).is_ok()
}

fn fits_foreign(password: &[u8], foreign: &Foreign) -> bool {
    match foreign {
        Foreign::Argon2(hash) => fits_argon2(password, hash),
        // As Dovecot and crypt(5) do, bcrypt looks at the first 72 bytes only.
        Foreign::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        Foreign::ShaCrypt(hash) => {
            PasswordVerifier::<str>::verify_password(&ShaCrypt::default(), password, hash).is_ok()
        }
        Foreign::Pbkdf2 { salt, rounds, key } => {
            let mut derived = [0; 20];
            pbkdf2::pbkdf2_hmac::<Sha1>(password, salt.as_bytes(), *rounds, &mut derived);
            derived.ct_eq(key).into()
        }
        Foreign::Digest { function, digest, salt } => digest_of(*function, password, salt).ct_eq(digest).into(),
    }
}

fn digest_of(function: Function, password: &[u8], salt: &[u8]) -> Vec<u8> {
    fn digest<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
        D::new().chain_update(password).chain_update(salt).finalize().to_vec()
    }
    match function {
        Function::Sha1 => digest::<Sha1>(password, salt),
        Function::Sha256 => digest::<Sha256>(password, salt),
        Function::Sha512 => digest::<Sha512>(password, salt),
    }
}
