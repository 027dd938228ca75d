//! Parser of the one message of the PLAIN mechanism (RFC 4616).

use super::{Failure, Password, prepare_name, prepare_password, text};

/// The parsed message, prepared by SASLprep.
pub(super) struct Credentials {
    /// The identity to act as, when one is named.
    pub(super) authzid: Option<String>,
    /// The identity whose password it is.
    pub(super) username: String,
    /// Its password.
    pub(super) password: Password,
}

/// ```abnf
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd   ; RFC 4616 section 2
/// ```
pub(super) fn parse(message: &[u8]) -> Result<Credentials, Failure> {
    let mut fields = text(message)?.split('\0');
    let (Some(authzid), Some(username), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(Failure::Malformed);
    };
    let authzid = if authzid.is_empty() { None } else { Some(prepare_name(authzid)?) };
    Ok(Credentials { authzid, username: prepare_name(username)?, password: prepare_password(password)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_three_fields_is_malformed() {
        for message in [&b""[..], b"ann", b"\0ann", b"\0ann\0pw\0", b"\0\0pw", b"\0ann\0", b"\0ann\0\xff"] {
            assert_eq!(parse(message).err(), Some(Failure::Malformed), "{message:?}");
        }
    }
}
