//! Folder names: which are allowed, and their parents. Levels are divided by `/`; INBOX is case-insensitive.

use crate::limits::FOLDER_NAME_BYTES_MAX;

/// The folder every account has.
pub const INBOX: &str = "INBOX";
/// Divides levels of the hierarchy.
pub const SEPARATOR: char = '/';

/// The name as it is stored: INBOX, alone or as first level, in upper case (RFC 9051 section 5.1). `None` when it cannot be a name.
pub fn canonical(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > FOLDER_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return None;
    }
    if name.split(SEPARATOR).any(|level| level.is_empty() || level == "." || level == "..") {
        return None;
    }
    let first = name.split(SEPARATOR).next().unwrap_or(name);
    if first.eq_ignore_ascii_case(INBOX) {
        return Some(format!("{INBOX}{}", &name[first.len()..]));
    }
    Some(name.to_owned())
}

/// The names above `name`, outermost first.
pub fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(SEPARATOR).map(|(at, _)| &name[..at])
}

/// Whether `name` is `parent` or lies below it.
pub fn is_within(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_canonical_or_refused() {
        assert_eq!(canonical("inbox").as_deref(), Some("INBOX"));
        assert_eq!(canonical("Inbox/x").as_deref(), Some("INBOX/x"));
        assert_eq!(canonical("Inboxes").as_deref(), Some("Inboxes"));
        for bad in ["", "/a", "a//b", "a/", "..", "a/../b", "a\nb"] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert!(is_within("a/b", "a") && is_within("a", "a") && !is_within("ab", "a"));
    }
}
