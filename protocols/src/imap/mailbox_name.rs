//! Mailbox names: modified UTF-7 (RFC 3501 section 5.1.3) to UTF-8 and back, INBOX, and which names can be made.
//! Inside the machine and the store a name is UTF-8 with `/` between levels.

use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::limits::imap::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_BYTES_MAX};

/// Between the levels of a name.
pub const DELIMITER: char = '/';
/// The one name every account has (RFC 9051 section 5.1).
pub const INBOX: &str = "INBOX";

/// RFC 3501 section 5.1.3: `,` in place of `/`, no padding.
const MODIFIED_BASE64: GeneralPurpose = GeneralPurpose::new(
    &match Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,") {
        Ok(alphabet) => alphabet,
        Err(_) => base64::alphabet::STANDARD,
    },
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Decodes a name as the client sent it. `utf8`: names are UTF-8 (UTF8=ACCEPT or IMAP4rev2 enabled), else modified
/// UTF-7. `None` when it is neither, has control characters, or is too long.
pub fn decode(wire: &[u8], utf8: bool) -> Option<String> {
    let text = std::str::from_utf8(wire).ok()?;
    let name = if utf8 {
        text.to_owned()
    } else {
        // quirk_utf8_mailbox_names: raw UTF-8 from clients that never asked for it is unambiguous, so it is taken.
        decode_modified_utf7(text)?
    };
    if name.len() > MAILBOX_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return None;
    }
    Some(canonical(name))
}

/// Encodes a name for the wire.
pub fn encode(name: &str, utf8: bool) -> String {
    if utf8 { name.to_owned() } else { encode_modified_utf7(name) }
}

/// RFC 9051 section 5.1: INBOX is matched without regard to case, alone and as the first level.
fn canonical(name: String) -> String {
    let first = name.split(DELIMITER).next().unwrap_or_default();
    if first != INBOX && first.eq_ignore_ascii_case(INBOX) {
        let rest = name.get(INBOX.len()..).unwrap_or_default();
        return format!("{INBOX}{rest}");
    }
    name
}

/// Whether a mailbox may be created under this name: no empty level, no wildcards, not too deep.
pub fn can_be_created(name: &str) -> bool {
    let levels: Vec<&str> = name.split(DELIMITER).collect();
    levels.len() <= MAILBOX_LEVELS_MAX
        && levels.iter().all(|level| !level.is_empty() && *level != "." && *level != "..")
        && !name.contains(['%', '*'])
}

/// Whether `name` lies below `parent`.
pub fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with(DELIMITER))
}

fn decode_modified_utf7(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (encoded, after) = shifted.split_once('-')?;
        rest = after;
        if encoded.is_empty() {
            name.push('&');
            continue;
        }
        let octets = MODIFIED_BASE64.decode(encoded).ok()?;
        if octets.len() % 2 != 0 {
            return None;
        }
        let units = octets.chunks_exact(2).map(|pair| match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        });
        for character in char::decode_utf16(units) {
            name.push(character.ok()?);
        }
    }
    name.push_str(rest);
    Some(name)
}

fn encode_modified_utf7(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut shifted = Vec::new();
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            flush(&mut wire, &mut shifted);
            wire.push(character);
            if character == '&' {
                wire.push('-');
            }
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut wire, &mut shifted);
    wire
}

fn flush(wire: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        wire.push('&');
        MODIFIED_BASE64.encode_string(&*shifted, wire);
        wire.push('-');
        shifted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", false).as_deref(), Some("~peter/mail/台北/日本語"));
        assert_eq!(encode("~peter/mail/台北/日本語", false), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(decode(b"a&-b", false).as_deref(), Some("a&b"));
        assert_eq!(decode(b"a&b", false), None);
        assert_eq!(decode(b"a&b", true).as_deref(), Some("a&b"));
        assert_eq!(decode(b"&2AA-", false), None, "half a surrogate pair");
    }

    #[test]
    fn inbox_in_any_case() {
        assert_eq!(decode(b"inBox", false).as_deref(), Some("INBOX"));
        assert_eq!(decode(b"inBox/a", false).as_deref(), Some("INBOX/a"));
        assert_eq!(decode(b"inBoxes", false).as_deref(), Some("inBoxes"));
    }

    #[test]
    fn names_that_cannot_be_made() {
        for bad in ["", "/a", "a//b", "a/", "a%", "*", ".."] {
            assert!(!can_be_created(bad), "{bad:?}");
        }
        assert!(can_be_created("a b/c.d"));
    }

    proptest! {
        #[test]
        fn every_name_survives(name in "[^\\p{Cc}]{0,40}") {
            let wire = encode(&name, false);
            prop_assert!(wire.is_ascii());
            prop_assert_eq!(decode(wire.as_bytes(), false), Some(canonical(name)));
        }

        #[test]
        fn nothing_panics(wire in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&wire, false);
        }
    }
}
