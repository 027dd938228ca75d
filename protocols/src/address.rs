//! Mail addresses: text in, a normalised pair of local part and domain out, and back to text.
//! It must not know which domains are local or how local parts are folded: that is the directory's.

use crate::limits::smtp::{DOMAIN_BYTES_MAX, LOCAL_PART_BYTES_MAX};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A mailbox address (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
///
/// The local part is kept as written, without quoting. The domain is kept lower-cased and in ASCII (A-labels), so that
/// equal domains compare equal; an address literal keeps its brackets. `Display` gives a valid `Mailbox`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local_part: String,
    domain: String,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@` after the local part.
    #[error("the address has no domain")]
    NoDomain,
    /// The local part is empty or holds what it must not.
    #[error("the part before @ is not valid")]
    LocalPart,
    /// The domain or address literal is not valid.
    #[error("the domain is not valid")]
    Domain,
    /// A part is over its bound.
    #[error("the address is too long")]
    TooLong,
}

impl Address {
    /// Parses a whole text as an address.
    ///
    /// ```abnf
    /// Mailbox       = Local-part "@" ( Domain / address-literal )   ; RFC 5321 section 4.1.2
    /// Local-part    = Dot-string / Quoted-string
    /// ```
    ///
    /// # Errors
    /// [`AddressError`] names the part that is wrong.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let (local_part, rest) = parse_local_part(text)?;
        let domain = rest.strip_prefix('@').ok_or(AddressError::NoDomain)?;
        Address::from_parts(&local_part, domain)
    }

    /// Joins an unquoted local part and a domain.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn from_parts(local_part: &str, domain: &str) -> Result<Address, AddressError> {
        if local_part.len() > LOCAL_PART_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        // Control characters have no place in a mailbox name, quoted or not (RFC 5321, qtextSMTP).
        if local_part.is_empty() || local_part.chars().any(char::is_control) {
            return Err(AddressError::LocalPart);
        }
        Ok(Address { local_part: local_part.to_owned(), domain: normalise_domain(domain)? })
    }

    /// The part before `@`, without quotes, in the case it was written in.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain in lower case and ASCII, or an address literal with its brackets.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The domain for people to read: A-labels turned into Unicode where that is valid.
    pub fn domain_unicode(&self) -> String {
        match idna::domain_to_unicode(&self.domain) {
            (unicode, Ok(())) => unicode,
            _ => self.domain.clone(),
        }
    }

    /// The address behind an address literal such as `[192.0.2.1]`.
    pub fn literal(&self) -> Option<IpAddr> {
        parse_literal(self.domain.strip_prefix('[')?.strip_suffix(']')?)
    }

    /// Whether it can be sent to a host without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii()
    }

    /// Splits `user+folder` at its first plus sign (RFC 5233 section 4). A leading plus sign belongs to the user.
    pub fn sub_address(&self) -> (&str, Option<&str>) {
        match self.local_part.split_once('+') {
            Some((user, folder)) if !user.is_empty() => (user, Some(folder)),
            _ => (&self.local_part, None),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local_part) {
            return write!(formatter, "{}@{}", self.local_part, self.domain);
        }
        formatter.write_str("\"")?;
        for character in self.local_part.chars() {
            if matches!(character, '"' | '\\') {
                formatter.write_str("\\")?;
            }
            write!(formatter, "{character}")?;
        }
        write!(formatter, "\"@{}", self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

/// What stands between the angle brackets of MAIL and RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Path {
    /// `<>`, the sender of bounces.
    Null,
    /// `<Postmaster>` without a domain.
    Postmaster,
    /// A mailbox; a source route before it is dropped.
    Mailbox(Address),
}

/// Takes a path off the front of a text and returns it with what follows.
///
/// ```abnf
/// Path      = "<" [ A-d-l ":" ] Mailbox ">"                      ; RFC 5321 section 4.1.2
/// A-d-l     = At-domain *( "," At-domain )
/// ```
pub(crate) fn parse_path(text: &str) -> Result<(Path, &str), AddressError> {
    let text = text.strip_prefix('<').ok_or(AddressError::LocalPart)?;
    if let Some(rest) = text.strip_prefix('>') {
        return Ok((Path::Null, rest));
    }
    // RFC 5321 appendix C: a source route is accepted and ignored.
    let text = match text.strip_prefix('@') {
        Some(route) => route.split_once(':').ok_or(AddressError::Domain)?.1,
        None => text,
    };
    let (local_part, rest) = parse_local_part(text)?;
    if let Some(rest) = rest.strip_prefix('>') {
        // RFC 5321 section 4.5.1: the reserved mailbox needs no domain.
        let reserved = local_part.eq_ignore_ascii_case("postmaster");
        return if reserved { Ok((Path::Postmaster, rest)) } else { Err(AddressError::NoDomain) };
    }
    let rest = rest.strip_prefix('@').ok_or(AddressError::LocalPart)?;
    let (domain, rest) = rest.split_once('>').ok_or(AddressError::Domain)?;
    Ok((Path::Mailbox(Address::from_parts(&local_part, domain)?), rest))
}

/// Lower-cases a domain and turns it into ASCII by IDNA, or normalises an address literal.
///
/// ```abnf
/// Domain          = sub-domain *("." sub-domain)                 ; RFC 5321 section 4.1.2
/// sub-domain      = Let-dig [Ldh-str] / U-label                  ; RFC 6531 section 3.3
/// address-literal = "[" ( IPv4-address-literal / IPv6-address-literal ) "]"
/// ```
///
/// # Errors
/// `Domain` when it is not of this grammar, `TooLong` over 255 bytes.
pub fn normalise_domain(text: &str) -> Result<String, AddressError> {
    if text.len() > DOMAIN_BYTES_MAX {
        return Err(AddressError::TooLong);
    }
    if let Some(literal) = text.strip_prefix('[') {
        let address = literal.strip_suffix(']').and_then(parse_literal).ok_or(AddressError::Domain)?;
        return Ok(match address {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        });
    }
    let lower = text.to_ascii_lowercase();
    let plain = lower.is_ascii() && !lower.contains("xn--");
    let ascii = if plain {
        lower
    } else {
        idna::domain_to_ascii_cow(lower.as_bytes(), idna::AsciiDenyList::STD3)
            .map_err(|_| AddressError::Domain)?
            .into_owned()
    };
    if ascii.len() > DOMAIN_BYTES_MAX {
        return Err(AddressError::TooLong);
    }
    if ascii.split('.').all(is_label) { Ok(ascii) } else { Err(AddressError::Domain) }
}

/// Takes a local part off the front of a text and returns it unquoted with what follows it.
fn parse_local_part(text: &str) -> Result<(String, &str), AddressError> {
    match text.strip_prefix('"') {
        Some(quoted) => parse_quoted(quoted),
        None => {
            let end = text.find(|character| !is_atom_or_dot(character)).unwrap_or(text.len());
            let (local_part, rest) = text.split_at(end);
            // quirk_dots: misplaced dots ("a..b", "a.") come from real senders; they print as a quoted string.
            Ok((local_part.to_owned(), rest))
        }
    }
}

/// ```abnf
/// Quoted-string  = DQUOTE *QcontentSMTP DQUOTE                   ; RFC 5321 section 4.1.2
/// QcontentSMTP   = qtextSMTP / "\" %d32-126
/// ```
fn parse_quoted(quoted: &str) -> Result<(String, &str), AddressError> {
    let mut local_part = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Ok((local_part, quoted.get(position + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, escaped @ ' '..='~')) => local_part.push(escaped),
                _ => return Err(AddressError::LocalPart),
            },
            _ => local_part.push(character),
        }
    }
    Err(AddressError::LocalPart)
}

/// RFC 5321 writes `[IPv6:...]`; general literals of other kinds name nothing that can be reached.
fn parse_literal(text: &str) -> Option<IpAddr> {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn is_atom_or_dot(character: char) -> bool {
    matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.')
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || !character.is_ascii()
}

fn is_dot_string(local_part: &str) -> bool {
    local_part.split('.').all(|atom| !atom.is_empty()) && local_part.chars().all(is_atom_or_dot)
}

/// A label of letters, digits and hyphens. quirk_underscore: names with an underscore occur in sender domains.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn domains_compare_without_case_and_in_ascii() {
        assert_eq!(parse("Ann@EXAMPLE.Org").domain(), "example.org");
        assert_eq!(parse("Ann@EXAMPLE.Org").local_part(), "Ann");
        assert_eq!(parse("ann@Bücher.example"), parse("ann@xn--bcher-kva.EXAMPLE"));
        assert_eq!(parse("ann@xn--bcher-kva.example").domain_unicode(), "bücher.example");
    }

    #[test]
    fn quoted_local_parts_round_trip() {
        let address = parse(r#""ann \"the\\\" b"@example.org"#);
        assert_eq!(address.local_part(), r#"ann "the\" b"#);
        assert_eq!(address.to_string(), r#""ann \"the\\\" b"@example.org"#);
        assert_eq!(parse(r#""ann"@example.org"#).to_string(), "ann@example.org");
        assert_eq!(parse("a..b@example.org").to_string(), "\"a..b\"@example.org");
    }

    #[test]
    fn literals_are_normalised() {
        assert_eq!(parse("a@[192.0.2.1]").literal(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(parse("a@[ipv6:2001:DB8:0::1]").domain(), "[IPv6:2001:db8::1]");
        assert_eq!(parse("a@[IPv6:2001:db8::1]").literal(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(parse("a@example.org").literal(), None);
    }

    #[test]
    fn sub_addresses_split_at_the_first_plus() {
        assert_eq!(parse("ann+lists+rust@example.org").sub_address(), ("ann", Some("lists+rust")));
        assert_eq!(parse("ann@example.org").sub_address(), ("ann", None));
        assert_eq!(parse("+x@example.org").sub_address(), ("+x", None));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, error) in [
            ("", AddressError::NoDomain),
            ("ann", AddressError::NoDomain),
            ("@example.org", AddressError::LocalPart),
            ("\"\"@example.org", AddressError::LocalPart),
            ("\"ann@example.org", AddressError::LocalPart),
            ("\"a\u{7}\"@example.org", AddressError::LocalPart),
            ("a b@example.org", AddressError::NoDomain),
            ("ann@", AddressError::Domain),
            ("ann@example..org", AddressError::Domain),
            ("ann@example.org.", AddressError::Domain),
            ("ann@-a.org", AddressError::Domain),
            ("ann@a b.org", AddressError::Domain),
            ("ann@b@example.org", AddressError::Domain),
            ("ann@[300.0.0.1]", AddressError::Domain),
            ("ann@[IPv6:zz]", AddressError::Domain),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
        let long = format!("{}@example.org", "a".repeat(LOCAL_PART_BYTES_MAX + 1));
        assert_eq!(Address::parse(&long), Err(AddressError::TooLong));
    }

    #[test]
    fn paths_end_at_their_own_bracket() {
        let mailbox = |text| Path::Mailbox(Address::parse(text).unwrap());
        assert_eq!(parse_path("<> A"), Ok((Path::Null, " A")));
        assert_eq!(parse_path("<postMaster>"), Ok((Path::Postmaster, "")));
        assert_eq!(parse_path("<@a.org,@b.org:ann@c.org>"), Ok((mailbox("ann@c.org"), "")));
        let quoted = mailbox("\"a> <b\"@c.org");
        assert_eq!(parse_path("<\"a> <b\"@c.org> SIZE=1"), Ok((quoted, " SIZE=1")));
        for bad in ["", "<", "ann@c.org", "<ann>", "<ann@c.org", "<@a.org>", "<@a.org:>", "< >"] {
            assert!(parse_path(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_to_the_same(text in "\\PC{0,20}@[a-zé.-]{0,12}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
            }
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in any::<String>()) {
            let _ = Address::parse(&text);
            let _ = parse_path(&format!("<{text}>"));
        }
    }
}
