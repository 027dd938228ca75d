//! Password hashes of other servers in Dovecot's notation `{SCHEME}value`: parses them and bounds what checking one may
//! cost. Checks nothing itself, see [`super::checks`].

use crate::limits::{
    FOREIGN_ARGON2_LANES_MAX, FOREIGN_ARGON2_MEMORY_KIB_MAX, FOREIGN_ARGON2_PASSES_MAX, FOREIGN_BCRYPT_COST_MAX,
    FOREIGN_PBKDF2_ROUNDS_MAX, FOREIGN_SHA_CRYPT_ROUNDS_MAX,
};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::limits::PASSWORD_HASH_BYTES_MAX;

/// Base64 with or without padding, as other tools write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A hash that can be checked.
#[derive(Clone, PartialEq, Eq)]
pub enum Foreign {
    /// `$argon2id$…` or `$argon2i$…`: a PHC string.
    Argon2(String),
    /// `$2a$`, `$2b$`, `$2x$` or `$2y$`.
    Bcrypt(String),
    /// `$5$…` or `$6$…`.
    ShaCrypt(String),
    /// PBKDF2 with HMAC-SHA-1.
    Pbkdf2 {
        /// Its bytes go in as they are written.
        salt: String,
        /// Iterations.
        rounds: u32,
        /// The key derived.
        key: Vec<u8>,
    },
    /// One pass of a hash function over password and salt.
    Digest {
        /// Which function.
        function: Function,
        /// Its result.
        digest: Vec<u8>,
        /// Empty for an unsalted scheme.
        salt: Vec<u8>,
    },
}

/// A hash function of a [`Foreign::Digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Function {
    /// Bytes of a digest.
    pub fn bytes(self) -> usize {
        match self {
            Function::Sha1 => 20,
            Function::Sha256 => 32,
            Function::Sha512 => 64,
        }
    }
}

/// What an import gives for a password, in one of Dovecot's notations.
#[derive(Clone, PartialEq, Eq)]
pub enum Given {
    /// The password itself (`{PLAIN}`), to be hashed here and never stored.
    Plain(String),
    /// A hash, in the notation that is stored: always with its scheme.
    Hash(String),
}

/// Why a hash cannot be taken. Says nothing of its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// There is no `{SCHEME}`.
    #[error("the hash has no scheme; Dovecot's notation is expected, such as {{SSHA512}}...")]
    NoScheme,
    /// The scheme is not one that can be checked here.
    #[error("the scheme {{{0}}} is not supported")]
    Scheme(String),
    /// The value does not have the form of its scheme.
    #[error("the value is not one of the scheme {{{0}}}")]
    Value(String),
    /// Checking it would take too long.
    #[error("{0}")]
    Cost(String),
    /// Longer than [`PASSWORD_HASH_BYTES_MAX`].
    #[error("the hash is longer than {PASSWORD_HASH_BYTES_MAX} bytes")]
    Long,
}

/// Reads the value of a `hash` column.
///
/// # Errors
/// When it is no hash that can be checked here within bounds.
pub fn given(text: &str) -> Result<Given, ForeignError> {
    if text.len() > PASSWORD_HASH_BYTES_MAX {
        return Err(ForeignError::Long);
    }
    let with_scheme = if text.starts_with('{') { text.to_owned() } else { with_scheme_of_crypt(text)? };
    let (scheme, encoding, value) = split(&with_scheme)?;
    if matches!(scheme.as_str(), "PLAIN" | "CLEARTEXT" | "CLEAR") {
        let plain = match encoding {
            None => Some(value.to_owned()),
            Some(encoding) => encoding.decode(value).and_then(|bytes| String::from_utf8(bytes).ok()),
        };
        return plain.map(Given::Plain).ok_or(ForeignError::Value(scheme));
    }
    parse(&with_scheme)?;
    Ok(Given::Hash(with_scheme))
}

/// Parses a hash in the stored notation.
///
/// # Errors
/// When it is no hash that can be checked here within bounds.
pub fn parse(text: &str) -> Result<Foreign, ForeignError> {
    let (scheme, encoding, value) = split(text)?;
    let digest =
        |function, salted| digest(function, salted, encoding, value).ok_or_else(|| ForeignError::Value(scheme.clone()));
    match scheme.as_str() {
        "SHA" | "SHA1" => return digest(Function::Sha1, false),
        "SHA256" => return digest(Function::Sha256, false),
        "SHA512" => return digest(Function::Sha512, false),
        "SSHA" => return digest(Function::Sha1, true),
        "SSHA256" => return digest(Function::Sha256, true),
        "SSHA512" => return digest(Function::Sha512, true),
        _ => {}
    }
    // The other schemes are text; an encoding around it is decoded first.
    let decoded = match encoding {
        None => Some(value.to_owned()),
        Some(encoding) => encoding.decode(value).and_then(|bytes| String::from_utf8(bytes).ok()),
    };
    let Some(value) = decoded else { return Err(ForeignError::Value(scheme)) };
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| value.starts_with(prefix));
    const BCRYPT: &[&str] = &["$2a$", "$2b$", "$2x$", "$2y$"];
    let parsed = match scheme.as_str() {
        "ARGON2ID" if starts(&["$argon2id$"]) => argon2(value)?,
        "ARGON2I" if starts(&["$argon2i$"]) => argon2(value)?,
        "BLF-CRYPT" | "CRYPT" if starts(BCRYPT) => bcrypt(value)?,
        "SHA512-CRYPT" | "CRYPT" if starts(&["$6$"]) => sha_crypt(value, 86)?,
        "SHA256-CRYPT" | "CRYPT" if starts(&["$5$"]) => sha_crypt(value, 43)?,
        "PBKDF2" => pbkdf2(&value)?,
        "CRYPT" | "ARGON2ID" | "ARGON2I" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" => None,
        _ => return Err(ForeignError::Scheme(scheme)),
    };
    parsed.ok_or(ForeignError::Value(scheme))
}

/// Some tools leave the scheme out where the value itself names it (crypt(5), PHC strings).
fn with_scheme_of_crypt(text: &str) -> Result<String, ForeignError> {
    let scheme = match text {
        _ if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) => "BLF-CRYPT",
        _ if text.starts_with("$6$") => "SHA512-CRYPT",
        _ if text.starts_with("$5$") => "SHA256-CRYPT",
        _ if text.starts_with("$argon2id$") => "ARGON2ID",
        _ if text.starts_with("$argon2i$") => "ARGON2I",
        _ => return Err(ForeignError::NoScheme),
    };
    Ok(format!("{{{scheme}}}{text}"))
}

/// `{SCHEME.ENCODING}value`: the scheme in upper case, the encoding if there is one, the value.
fn split(text: &str) -> Result<(String, Option<Encoding>, &str), ForeignError> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let (name, value) = inner.filter(|(name, _)| is_name(name)).ok_or(ForeignError::NoScheme)?;
    let name = name.to_ascii_uppercase();
    let Some((scheme, encoding)) = name.split_once('.') else { return Ok((name, None, value)) };
    let encoding = match encoding {
        "HEX" => Encoding::Hex,
        "B64" | "BASE64" => Encoding::Base64,
        _ => return Err(ForeignError::Scheme(name)),
    };
    Ok((scheme.to_owned(), Some(encoding), value))
}

/// Short and of harmless characters, because it is shown in error messages.
fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// How the bytes of a value are written.
#[derive(Clone, Copy)]
enum Encoding {
    Hex,
    Base64,
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Hex => hex(text),
            Encoding::Base64 => BASE64.decode(text).ok(),
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Without an encoding Dovecot takes an unsalted value for hexadecimal when it has the length of that, else for Base64.
fn digest(function: Function, salted: bool, encoding: Option<Encoding>, value: &str) -> Option<Foreign> {
    let is_hex = !salted && value.len() == 2 * function.bytes();
    let encoding = encoding.unwrap_or(if is_hex { Encoding::Hex } else { Encoding::Base64 });
    let mut digest = encoding.decode(value)?;
    if digest.len() < function.bytes() {
        return None;
    }
    let salt = digest.split_off(function.bytes());
    (salt.is_empty() != salted).then_some(Foreign::Digest { function, digest, salt })
}

fn argon2(value: String) -> Result<Option<Foreign>, ForeignError> {
    let Ok(hash) = argon2::password_hash::phc::PasswordHash::new(&value) else { return Ok(None) };
    let Ok(params) = argon2::Params::try_from(&hash) else { return Ok(None) };
    if hash.salt.is_none() || hash.hash.is_none() {
        return Ok(None);
    }
    bound("argon2 memory in KiB", params.m_cost(), FOREIGN_ARGON2_MEMORY_KIB_MAX)?;
    bound("argon2 passes", params.t_cost(), FOREIGN_ARGON2_PASSES_MAX)?;
    bound("argon2 lanes", params.p_cost(), FOREIGN_ARGON2_LANES_MAX)?;
    Ok(Some(Foreign::Argon2(value)))
}

fn bcrypt(value: String) -> Result<Option<Foreign>, ForeignError> {
    let Ok(parts) = value.parse::<bcrypt::HashParts>() else { return Ok(None) };
    if !(4..=31).contains(&parts.get_cost()) {
        return Ok(None);
    }
    bound("bcrypt cost", parts.get_cost(), FOREIGN_BCRYPT_COST_MAX)?;
    Ok(Some(Foreign::Bcrypt(value)))
}

/// `$id$[rounds=N$]salt$hash`, the hash of so many characters.
fn sha_crypt(value: String, characters: usize) -> Result<Option<Foreign>, ForeignError> {
    let is_crypt = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    let mut fields = value.split('$').skip(2).peekable();
    if let Some(rounds) = fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
        match rounds.parse::<u32>() {
            // crypt(5) raises a smaller number to 1,000 when it makes a hash, so there is none.
            Ok(rounds) if rounds >= 1_000 => bound("sha-crypt rounds", rounds, FOREIGN_SHA_CRYPT_ROUNDS_MAX)?,
            _ => return Ok(None),
        }
        fields.next();
    }
    let (salt, hash, end) = (fields.next(), fields.next(), fields.next());
    let valid = salt.is_some_and(|salt| salt.len() <= 16 && is_crypt(salt))
        && hash.is_some_and(|hash| hash.len() == characters && is_crypt(hash))
        && end.is_none();
    Ok(valid.then_some(Foreign::ShaCrypt(value)))
}

/// `$1$salt$rounds$key`, the key in hexadecimal.
fn pbkdf2(value: &str) -> Result<Option<Foreign>, ForeignError> {
    let fields: Vec<&str> = value.split('$').collect();
    let ["", "1", salt, rounds, key] = fields.as_slice() else { return Ok(None) };
    let (Ok(rounds), Some(key)) = (rounds.parse::<u32>(), hex(key)) else { return Ok(None) };
    if rounds == 0 || key.len() != Function::Sha1.bytes() {
        return Ok(None);
    }
    bound("PBKDF2 rounds", rounds, FOREIGN_PBKDF2_ROUNDS_MAX)?;
    Ok(Some(Foreign::Pbkdf2 { salt: (*salt).to_owned(), rounds, key }))
}

/// A login must not hold a processor for long, however the hash was made.
fn bound(what: &str, value: u32, most: u32) -> Result<(), ForeignError> {
    if value <= most { Ok(()) } else { Err(ForeignError::Cost(format!("{what}: {value}, at most {most} is taken"))) }
}
