//! Which mailboxes a LIST pattern names (RFC 9051 section 6.3.9). Pure.

use crate::imap::mailbox_name::DELIMITER;

/// A reference and pattern put together: `LIST "a/" "%"` is `a/%`.
pub(super) fn join(reference: &str, pattern: &str) -> String {
    let joined = format!("{reference}{pattern}");
    let first = joined.split(DELIMITER).next().unwrap_or_default();
    if first.eq_ignore_ascii_case("INBOX") {
        // INBOX in any case, as everywhere.
        return format!("INBOX{}", joined.get(first.len()..).unwrap_or_default());
    }
    joined
}

/// Whether `name` matches: `*` stands for anything, `%` for anything without a delimiter.
///
/// The steps are at most the product of both lengths: the furthest `*` is the only one to come back to, and of `%`
/// the last one within the level.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // reachable[i]: the pattern so far can match name[..i].
    let mut reachable = vec![false; name.len() + 1];
    if let Some(start) = reachable.first_mut() {
        *start = true;
    }
    for &symbol in pattern {
        let mut carried = false;
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            let here = reachable.get(at).copied().unwrap_or(false);
            let before = at.checked_sub(1).and_then(|before| name.get(before)).copied();
            let value = match symbol {
                b'*' => {
                    carried |= here;
                    carried
                }
                b'%' => {
                    carried = here || carried && before != Some(DELIMITER as u8);
                    carried
                }
                _ => {
                    before == Some(symbol)
                        && at.checked_sub(1).and_then(|before| reachable.get(before)).copied().unwrap_or(false)
                }
            };
            if let Some(slot) = next.get_mut(at) {
                *slot = value;
            }
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("%/%", "a/b", true),
            ("a*", "a", true),
            ("a%b", "axxb", true),
            ("a%b", "ax/b", false),
            ("*b", "a/xb", true),
            ("%b%", "ab", true),
            ("a", "b", false),
            ("", "", true),
            ("", "a", false),
            ("*/c", "a/b/c", true),
            ("%/c", "a/b/c", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(500), &"a".repeat(400)));
    }

    #[test]
    fn references() {
        assert_eq!(join("a/", "%"), "a/%");
        assert_eq!(join("", "inbox"), "INBOX");
    }
}
