//! The base64 framing that SMTP (RFC 4954), IMAP (RFC 9051) and POP3 (RFC 5034) put around SASL messages.

use super::Failure;
use crate::limits::sasl::MESSAGE_BYTES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Decodes a client's answer line without its line end; an empty line is an empty message.
///
/// # Errors
/// `TooLong` when it would decode to more than the bound, `Malformed` when it is not base64.
pub fn decode(line: &[u8]) -> Result<Vec<u8>, Failure> {
    if line.len() > MESSAGE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Failure::TooLong);
    }
    STANDARD.decode(line).map_err(|_| Failure::Malformed)
}

/// Decodes an initial response, where a single `=` stands for an empty one (RFC 4954 section 4).
///
/// # Errors
/// As [`decode`].
pub fn decode_initial(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    if argument == b"=" { Ok(Vec::new()) } else { decode(argument) }
}

/// Encodes a challenge.
pub fn encode(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_equals_sign_is_an_empty_initial_response_only() {
        assert_eq!(decode_initial(b"="), Ok(Vec::new()));
        assert_eq!(decode(b"="), Err(Failure::Malformed));
        assert_eq!(decode(b""), Ok(Vec::new()));
        assert_eq!(decode(b"AGFubgBwdw=="), Ok(b"\0ann\0pw".to_vec()));
    }
}
