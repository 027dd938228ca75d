//! The two encodings of DSN parameters: xtext (RFC 3461 section 4) and the forms of UTF-8 addresses (RFC 6533 section 3).

use std::fmt::Write as _;

/// Encodes a text as xtext; non-ASCII bytes are encoded too.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "+{byte:02X}");
        }
    }
    encoded
}

/// ```abnf
/// xtext   = *( xchar / hexchar )                       ; RFC 3461 section 4
/// xchar   = %d33-126 except "+" and "="
/// hexchar = "+" 2(%x30-39 / %x41-46)
/// ```
/// Returns `None` for any other text, or when it stands for control characters or invalid UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'+' {
            let (high, low) = (hexadecimal(bytes.next()?)?, hexadecimal(bytes.next()?)?);
            decoded.push(high * 16 + low);
        } else if is_plain(byte) {
            decoded.push(byte);
        } else {
            return None;
        }
    }
    let decoded = String::from_utf8(decoded).ok()?;
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}

/// Encodes an address as `utf-8-addr-xtext`, in ASCII only (RFC 6533 section 3).
pub fn encode_unicode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_plain(byte) && byte != b'\\' => encoded.push(character),
            _ => {
                let _ = write!(encoded, "\\x{{{:X}}}", u32::from(character));
            }
        }
    }
    encoded
}

/// Decodes `utf-8-addr-xtext` and `utf-8-addr-unitext`: `\x{HEX}` stands for a code point, other characters for
/// themselves (RFC 6533 section 3). Returns `None` when an escape is wrong or stands for a control character.
pub fn decode_unicode(text: &str) -> Option<String> {
    let mut parts = text.split("\\x{");
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_once('}')?;
        if !(2..=6).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        decoded.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?);
        decoded.push_str(rest);
    }
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'+' | b'=')
}

fn hexadecimal(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        // RFC 3461 has capitals only; quirk_xtext_lower_case: some senders write small letters.
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_cannot_be_smuggled_in() {
        assert_eq!(decode("a+0D+0Ab"), None);
        assert_eq!(decode_unicode("a\\x{0D}b"), None);
        assert_eq!(decode("ann+2Blist@example.org").as_deref(), Some("ann+list@example.org"));
        for bad in ["a=b", "+", "+4", "+zz", "a b", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn unicode_addresses_have_an_ascii_form() {
        assert_eq!(encode_unicode("jörg+a@x"), "j\\x{F6}rg\\x{2B}a@x");
        assert_eq!(decode_unicode("j\\x{F6}rg\\x{2B}a@x").as_deref(), Some("jörg+a@x"));
    }

    proptest! {
        #[test]
        fn both_forms_round_trip(text in "\\PC{0,30}") {
            prop_assume!(!text.chars().any(char::is_control));
            let (xtext, unicode) = (encode(&text), encode_unicode(&text));
            prop_assert_eq!(decode(&xtext), Some(text.clone()));
            prop_assert_eq!(decode_unicode(&unicode), Some(text));
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _ = (decode(&text), decode_unicode(&text));
        }
    }
}
