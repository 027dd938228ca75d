//! A password on its way from the wire to the check: wiped when dropped, never printed.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret text. Its memory is overwritten on drop and `Debug` shows only that there is one.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes over the text as it is; see [`super::prepare_password`] for the prepared form.
    pub fn new(text: String) -> Password {
        Password(Zeroizing::new(text))
    }

    /// The secret itself, for the hash function only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes of the secret, for the hash function only.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// Compares in a time that depends on the lengths only.
impl PartialEq for Password {
    fn eq(&self, other: &Password) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Password {}
