//! Which mailboxes a LIST pattern names (RFC 9051 section 6.3.9). Pure.

use crate::imap::mailbox_name::DELIMITER;

/// A pattern with its reference, made ready.
pub(super) struct Pattern {
    symbols: Vec<u8>,
}

impl Pattern {
    /// Puts reference and pattern together: `LIST "a/" "%"` is `a/%`.
    pub fn new(reference: &str, pattern: &str) -> Self {
        let joined = format!("{reference}{pattern}");
        let first = joined.split(DELIMITER).next().unwrap_or_default();
        // INBOX in any case, as everywhere.
        let inbox = first.eq_ignore_ascii_case("INBOX");
        let mut symbols: Vec<u8> = Vec::with_capacity(joined.len());
        for (at, byte) in joined.bytes().enumerate() {
            let byte = if inbox && at < first.len() { byte.to_ascii_uppercase() } else { byte };
            match (symbols.last(), byte) {
                // Neighbouring wildcards are the strongest of them.
                (Some(b'*'), b'*' | b'%') | (Some(b'%'), b'%') => {}
                (Some(b'%'), b'*') => {
                    symbols.pop();
                    symbols.push(b'*');
                }
                _ => symbols.push(byte),
            }
        }
        Self { symbols }
    }

    /// An upper bound of the steps of [`Pattern::matches`].
    pub fn steps(&self, name: &str) -> usize {
        (self.symbols.len().min(2 * name.len()) + 2) * (name.len() + 1)
    }

    /// Whether the last symbol is `%`.
    pub fn ends_in_percent(&self) -> bool {
        self.symbols.last() == Some(&b'%')
    }

    /// Whether `name` matches: `*` stands for anything, `%` for anything without a delimiter.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        // reachable[i]: the symbols so far can match name[..i].
        let mut reachable = vec![false; name.len() + 1];
        let mut next = reachable.clone();
        if let Some(start) = reachable.first_mut() {
            *start = true;
        }
        for &symbol in &self.symbols {
            if !step(symbol, name, &reachable, &mut next) {
                return false;
            }
            std::mem::swap(&mut reachable, &mut next);
        }
        reachable.last().copied().unwrap_or(false)
    }
}

/// One symbol further; whether anything can still be reached.
fn step(symbol: u8, name: &[u8], reachable: &[bool], next: &mut [bool]) -> bool {
    let befores = std::iter::once(None).chain(name.iter().copied().map(Some));
    let mut previous = false;
    let mut carried = false;
    let mut any = false;
    for ((here, slot), before) in reachable.iter().zip(next).zip(befores) {
        let value = match symbol {
            b'*' => *here || carried,
            b'%' => *here || carried && before != Some(DELIMITER as u8),
            _ => previous && before == Some(symbol),
        };
        (*slot, carried, previous) = (value, value, *here);
        any |= value;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, slow.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| slow(rest, &name[at..])),
            Some((b'%', rest)) => {
                let level = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
                (0..=level).any(|at| slow(rest, &name[at..]))
            }
            Some((symbol, rest)) => name.split_first().is_some_and(|(first, tail)| first == symbol && slow(rest, tail)),
        }
    }

    proptest! {
        #[test]
        fn the_definition_is_kept(pattern in "[ab/%*]{0,8}", name in "[ab/]{0,8}") {
            prop_assert_eq!(Pattern::new("", &pattern).matches(&name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }

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
            ("%*%", "a/b", true),
            ("%%", "a/b", false),
        ] {
            assert_eq!(Pattern::new("", pattern).matches(name), expected, "{pattern} {name}");
        }
        assert!(!Pattern::new("", &"*a".repeat(500)).matches(&"a".repeat(400)));
    }

    #[test]
    fn references() {
        assert!(Pattern::new("a/", "%").matches("a/b"));
        assert!(Pattern::new("", "inbox").matches("INBOX"));
        assert!(Pattern::new("inBox/", "X").matches("INBOX/X"));
    }
}
