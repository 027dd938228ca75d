//! Address lists of header fields (RFC 5322 section 3.4, obsolete and broken forms too) into the raw pieces that
//! IMAP's envelope wants. Works on one unfolded value; display names stay encoded.

use serde::{Deserialize, Serialize};

use super::raw_text::RawText;
use crate::limits::mime::FIELD_VALUE_BYTES_MAX;

/// One entry of an address list in the shape of RFC 9051 section 7.5.2.
/// `host` is `None` for the two group markers: a group's start has its name in `mailbox`, its end has none.
/// An address without a domain has an empty `host`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Display name, quotes and escapes removed, encoded words kept; for `a@b (Name)` the comment.
    pub name: Option<RawText>,
    /// Source route such as `@a,@b`.
    pub route: Option<RawText>,
    /// Local part without quotes, or a group's name.
    pub mailbox: Option<RawText>,
    /// Domain or address literal.
    pub host: Option<RawText>,
}

impl Address {
    /// Whether this entry opens or closes a group and names nobody.
    pub fn is_group_marker(&self) -> bool {
        self.host.is_none()
    }

    /// The display name, decoded.
    pub fn decoded_name(&self) -> Option<String> {
        self.name.as_ref().map(RawText::decoded)
    }

    /// `mailbox@host`, or `None` for a group marker. Without a domain it is the mailbox alone.
    pub fn address(&self) -> Option<String> {
        let host = String::from_utf8_lossy(self.host.as_ref()?);
        let mailbox = self.mailbox.as_ref().map_or("".into(), |mailbox| String::from_utf8_lossy(mailbox));
        Some(if host.is_empty() { mailbox.into_owned() } else { format!("{mailbox}@{host}") })
    }
}

fn kept(octets: &[u8]) -> RawText {
    RawText::from(&octets[..octets.len().min(FIELD_VALUE_BYTES_MAX)])
}

fn kept_if_any(octets: &[u8]) -> Option<RawText> {
    (!octets.is_empty()).then(|| kept(octets))
}

/// Appends the addresses of an unfolded value to `into` until it holds `addresses_max` entries.
pub(super) fn parse_addresses(value: &[u8], into: &mut Vec<Address>, addresses_max: usize) {
    let mut parser = ListParser { rest: value, in_group: false };
    while into.len() < addresses_max {
        match parser.next_entry() {
            Some(entry) => into.push(entry),
            None => break,
        }
    }
}

/// Words read so far at the top level of a list, before it is known what they are.
#[derive(Default)]
struct Words {
    /// Words joined by single spaces, quotes and escapes removed.
    text: Vec<u8>,
    /// Where the last word begins in `text`: the local part if an `@` follows.
    last_word: usize,
    space_pending: bool,
    quoted: bool,
    comment: Vec<u8>,
}

impl Words {
    fn separate(&mut self) {
        if std::mem::take(&mut self.space_pending) && !self.text.is_empty() {
            self.text.push(b' ');
            self.last_word = self.text.len();
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.quoted
    }
}

struct ListParser<'a> {
    rest: &'a [u8],
    in_group: bool,
}

impl ListParser<'_> {
    fn bump(&mut self) -> Option<u8> {
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(octet)
    }

    /// The next address or group marker; `None` at the end of the list.
    fn next_entry(&mut self) -> Option<Address> {
        let mut words = Words::default();
        while let Some(&octet) = self.rest.first() {
            if matches!(octet, b',' | b';') && !words.is_empty() {
                // The separator stays, so that a group's end is seen by the next call.
                return Some(without_domain(words));
            }
            self.bump();
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => words.space_pending = true,
                b'(' => words.comment = self.comment(),
                b'"' => {
                    words.separate();
                    words.quoted = true;
                    self.quoted_string(&mut words.text);
                }
                b'<' => return Some(self.angle_address(&words)),
                b'@' => return Some(self.bare_address(&words)),
                b':' if !self.in_group => {
                    self.in_group = true;
                    return Some(Address { mailbox: Some(kept(&words.text)), ..Address::default() });
                }
                b',' => {}
                b';' => {
                    if std::mem::take(&mut self.in_group) {
                        return Some(Address::default());
                    }
                }
                other => {
                    words.separate();
                    words.text.push(other);
                }
            }
        }
        if !words.is_empty() {
            return Some(without_domain(words));
        }
        // A group left open ends with the list, so that the markers always pair.
        std::mem::take(&mut self.in_group).then(Address::default)
    }

    /// `name <@route:local@domain>`, behind the `<`.
    fn angle_address(&mut self, words: &Words) -> Address {
        let route = self.route();
        let mut local = Vec::new();
        let mut host = Vec::new();
        while let Some(octet) = self.bump() {
            match octet {
                b'>' => break,
                b'"' => self.quoted_string(&mut local),
                b'(' => drop(self.comment()),
                b' ' | b'\t' => {}
                b'@' => {
                    host = self.domain();
                }
                other if host.is_empty() => local.push(other),
                _ => {}
            }
        }
        let comment = self.skip_to_separator();
        let name = if words.is_empty() { comment } else { words.text.clone() };
        Address {
            name: kept_if_any(&name),
            route: route.as_deref().and_then(kept_if_any),
            mailbox: Some(kept(&local)),
            host: Some(kept(&host)),
        }
    }

    /// `local@domain` without brackets, behind the `@`. Words before the last one are taken as a name.
    fn bare_address(&mut self, words: &Words) -> Address {
        let host = self.domain();
        let trailing_comment = self.skip_to_separator();
        let (name, local) = words.text.split_at(words.last_word.min(words.text.len()));
        let comment = if trailing_comment.is_empty() { &words.comment } else { &trailing_comment };
        let name = if name.is_empty() { comment.as_slice() } else { name.trim_ascii_end() };
        Address { name: kept_if_any(name), route: None, mailbox: Some(kept(local)), host: Some(kept(&host)) }
    }

    /// `obs-route = obs-domain-list ":"`, such as `@a,@b:` (RFC 5322 section 4.4), without its colon.
    fn route(&mut self) -> Option<Vec<u8>> {
        let rest = self.rest.trim_ascii_start();
        if !rest.starts_with(b"@") {
            return None;
        }
        let end = rest.iter().position(|octet| matches!(octet, b':' | b'>' | b'"' | b'['))?;
        if rest.get(end) != Some(&b':') {
            return None;
        }
        self.rest = &rest[end + 1..];
        Some(rest[..end].iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect())
    }

    /// A dot-atom or `[literal]`, leaving what ends it.
    fn domain(&mut self) -> Vec<u8> {
        let mut domain = Vec::new();
        let mut in_literal = false;
        while let Some(&octet) = self.rest.first() {
            match octet {
                b'[' => in_literal = true,
                b']' => in_literal = false,
                b',' | b';' | b'>' | b'<' | b'"' | b'(' if !in_literal => break,
                b' ' | b'\t' => {
                    self.bump();
                    if domain.is_empty() || self.rest.first() == Some(&b'.') || domain.ends_with(b".") {
                        continue;
                    }
                    break;
                }
                _ => {}
            }
            self.bump();
            domain.push(octet);
        }
        domain
    }

    /// Skips what stands between an address and the next separator; returns the last comment in it.
    fn skip_to_separator(&mut self) -> Vec<u8> {
        let mut comment = Vec::new();
        while let Some(&octet) = self.rest.first() {
            if matches!(octet, b',' | b';') {
                break;
            }
            self.bump();
            match octet {
                b'(' => comment = self.comment(),
                b'"' => self.quoted_string(&mut Vec::new()),
                _ => {}
            }
        }
        comment
    }

    /// Appends the content of a quoted string, behind its first quote, without escapes.
    fn quoted_string(&mut self, into: &mut Vec<u8>) {
        while let Some(octet) = self.bump() {
            match octet {
                b'"' => return,
                b'\\' => into.extend(self.bump()),
                other => into.push(other),
            }
        }
    }

    /// The content of a comment, behind its first parenthesis; nested ones are kept with their parentheses.
    fn comment(&mut self) -> Vec<u8> {
        let mut comment = Vec::new();
        let mut depth = 1_usize;
        while let Some(octet) = self.bump() {
            match octet {
                b'\\' => {
                    comment.extend(self.bump());
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            comment.push(octet);
        }
        comment.trim_ascii().to_vec()
    }
}

/// A lone word such as `root`, which old and local mail has for an address.
fn without_domain(words: Words) -> Address {
    Address {
        name: kept_if_any(&words.comment),
        route: None,
        mailbox: Some(kept(&words.text)),
        host: Some(RawText::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each entry as `name|route|mailbox|host`, `-` for what is absent.
    fn parse(value: &str) -> Vec<String> {
        let mut list = Vec::new();
        parse_addresses(value.as_bytes(), &mut list, 100);
        let show = |piece: &Option<RawText>| {
            piece.as_ref().map_or("-".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
        };
        list.iter().map(|entry| [&entry.name, &entry.route, &entry.mailbox, &entry.host].map(show).join("|")).collect()
    }

    #[test]
    fn plain_and_named_addresses() {
        assert_eq!(parse("fred@example.org"), ["-|-|fred|example.org"]);
        assert_eq!(parse("Fred Foo <fred@example.org>, b@c"), ["Fred Foo|-|fred|example.org", "-|-|b|c"]);
        assert_eq!(parse(r#""Foo, \"Fred\"" <fred@x>"#), [r#"Foo, "Fred"|-|fred|x"#]);
        assert_eq!(parse("John Q. Public <j@x>"), ["John Q. Public|-|j|x"]);
        assert_eq!(parse("=?utf-8?q?J=C3=B6rg?= <j@x>"), ["=?utf-8?q?J=C3=B6rg?=|-|j|x"]);
    }

    #[test]
    fn a_comment_names_an_address_without_a_name() {
        assert_eq!(parse("fred@x (Fred (the) Foo)"), ["Fred (the) Foo|-|fred|x"]);
        assert_eq!(parse("(c) Fred <fred@x> (other)"), ["Fred|-|fred|x"]);
    }

    #[test]
    fn groups_are_marked_at_both_ends() {
        assert_eq!(parse("A Group: a@x, B <b@y>; c@z"), ["-|-|A Group|-", "-|-|a|x", "B|-|b|y", "-|-|-|-", "-|-|c|z"]);
        assert_eq!(parse("undisclosed-recipients:;"), ["-|-|undisclosed-recipients|-", "-|-|-|-"]);
        assert_eq!(parse("open: a@x"), ["-|-|open|-", "-|-|a|x", "-|-|-|-"]);
        assert_eq!(parse("lone: root;"), ["-|-|lone|-", "-|-|root|", "-|-|-|-"]);
    }

    #[test]
    fn routes_and_quoted_local_parts() {
        assert_eq!(parse("<@a,@b:c@d>"), ["-|@a,@b|c|d"]);
        assert_eq!(parse(r#""joe smith"@x, <"a@b"@c>"#), ["-|-|joe smith|x", "-|-|a@b|c"]);
        assert_eq!(parse("a@[192.0.2.1]"), ["-|-|a|[192.0.2.1]"]);
        assert_eq!(parse("a@[IPv6:2001:db8::1], <b@[IPv6:::1]>"), ["-|-|a|[IPv6:2001:db8::1]", "-|-|b|[IPv6:::1]"]);
    }

    #[test]
    fn broken_lists_give_something_and_end() {
        assert_eq!(parse(""), [""; 0]);
        assert_eq!(parse(" , ,; "), [""; 0]);
        assert_eq!(parse("root"), ["-|-|root|"]);
        assert_eq!(parse("Fred Foo fred@x"), ["Fred Foo|-|fred|x"]);
        assert_eq!(parse("<fred@x"), ["-|-|fred|x"]);
        assert_eq!(parse("<>"), ["-|-||"]);
        assert_eq!(parse("\"open <a@b>"), ["-|-|open <a@b>|"]);
        assert_eq!(parse("a@b@c"), ["-|-|a|b@c"]);
    }

    #[test]
    fn the_count_is_bounded() {
        let mut list = Vec::new();
        parse_addresses(b"a@x,b@x,c@x", &mut list, 2);
        assert_eq!(list.len(), 2);
    }
}
