//! Client messages of the mechanisms a relay may ask for. The caller frames them (see [`super::wire`]).

use super::Password;
use zeroize::Zeroizing;

/// The one message of PLAIN (RFC 4616 section 2) without an authorisation identity.
pub fn plain(username: &str, password: &Password) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(username.len() + password.as_bytes().len() + 2));
    message.push(0);
    message.extend_from_slice(username.as_bytes());
    message.push(0);
    message.extend_from_slice(password.as_bytes());
    message
}
