//! The one place that turns replicated values into bytes and back. Only this file names bincode.
//!
//! Every stored value starts with a format byte, so a later release can tell what it reads.

use crate::txn::ReadError;
use serde::{Serialize, de::DeserializeOwned};

const FORMAT: u8 = 1;

/// Encodes a value: one format byte, then bincode with variable-length integers.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_as(FORMAT, value)
}

/// As [`encode`], in a later format of a value whose shape has changed.
pub fn encode_as<T: Serialize>(format: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![format];
    encode_into(&mut bytes, value);
    bytes
}

fn encode_into<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    // Encoding into memory fails only for types serde cannot describe, which a test of each type would show.
    if let Err(error) = bincode::serde::encode_into_std_write(value, bytes, bincode::config::standard()) {
        unreachable!("a replicated value is not encodable: {error}");
    }
}

/// Decodes what [`encode`] wrote; refuses other formats, trailing bytes and over-long lengths.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    decode_as(FORMAT, bytes)
}

/// Decodes what [`encode_as`] wrote in this format.
pub fn decode_as<T: DeserializeOwned>(format: u8, bytes: &[u8]) -> Result<T, ReadError> {
    let Some((_, rest)) = bytes.split_first().filter(|(first, _)| **first == format) else {
        return Err(ReadError("unknown value format".into()));
    };
    let config = bincode::config::standard().with_limit::<{ crate::limits::ENCODED_BYTES_MAX }>();
    match bincode::serde::decode_from_slice(rest, config) {
        Ok((value, used)) if used == rest.len() => Ok(value),
        Ok(_) => Err(ReadError("bytes left over behind a value".into())),
        Err(error) => Err(ReadError(error.to_string())),
    }
}
