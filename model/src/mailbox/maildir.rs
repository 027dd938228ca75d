//! Names on disk as a function of the rows alone (I3): the Maildir++ tree any Maildir reader understands.
//!
//! The rows are the truth (I4); these names are their projection.

use super::name::{INBOX, SEPARATOR};
use super::row::{self, flag};
use crate::body::BodyHash;
use crate::ids::{AccountId, FolderId, Uid};
use crate::key;
use crate::txn::{Read, ReadError};
use std::fmt::Write;

/// A message's file in its folder's `cur`: named `{base}:2,{flags}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFile {
    /// Unique and fixed for the life of the message in this folder.
    pub base: String,
    /// Maildir flag letters, ascending.
    pub flags: String,
    /// The body it links to.
    pub hash: BodyHash,
    /// The body's size in bytes.
    pub size: u64,
}

/// An account's directory relative to `mail/`; `None` when the account is gone.
pub fn account_directory(from: &dyn Read, account: AccountId) -> Result<Option<String>, ReadError> {
    let Some(row) = row::account(from, account)? else { return Ok(None) };
    let (local, domain) = row.address.rsplit_once('@').unwrap_or((&row.address, "local"));
    Ok(Some(format!("{}/{}~{:x}", escape(domain, false), escape(local, false), account.0)))
}

/// A folder's directory relative to its account's: empty for INBOX; `None` when the folder is gone.
///
/// A folder that waits to be reaped gets a name no folder can have, so that its old name is free.
pub fn folder_directory(from: &dyn Read, account: AccountId, folder: FolderId) -> Result<Option<String>, ReadError> {
    let Some(row) = row::folder(from, account, folder)? else { return Ok(None) };
    if row.name == INBOX {
        return Ok(Some(String::new()));
    }
    if from.get(&key::garbage(account, folder))?.is_some() {
        return Ok(Some(format!(".%removed~{:x}", folder.0)));
    }
    let mut path = String::new();
    for level in row.name.split(SEPARATOR) {
        path.push('.');
        path.push_str(&escape(level, true));
    }
    Ok(Some(bounded(path, folder)))
}

/// A message's file; `None` when the message is gone.
pub fn message_file(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uid: Uid,
) -> Result<Option<MessageFile>, ReadError> {
    let Some(message) = row::message(from, account, folder, uid)? else { return Ok(None) };
    let state = row::state(from, account, folder, uid)?;
    Ok(Some(MessageFile {
        base: format!(
            "{}.M{}P{}V{:x}F{:x}U{uid},S={}",
            message.saved_at.max(0),
            message.file_index,
            message.file_ordinal,
            account.0,
            folder.0,
            message.size
        ),
        flags: flag_letters(state.map_or(0, |state| state.flags)),
        hash: message.hash,
        size: message.size,
    }))
}

/// The letters of Maildir's `:2,` suffix, in ASCII order.
pub fn flag_letters(flags: u64) -> String {
    let letters =
        [(flag::DRAFT, 'D'), (flag::FLAGGED, 'F'), (flag::ANSWERED, 'R'), (flag::SEEN, 'S'), (flag::DELETED, 'T')];
    letters.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| letter).collect()
}

/// Bytes that a file name may not hold, or that mean something in one, as `%XX`; one-to-one.
fn escape(text: &str, dots: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let special = matches!(character, '/' | '%' | '\0' | '\\' | ':' | '~') || character.is_control();
        if special || character == '.' && (dots || at == 0) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                let _ = write!(escaped, "%{byte:02X}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Escaping may triple a name; one that no longer fits a file name is cut and ended with the folder's id.
fn bounded(mut path: String, folder: FolderId) -> String {
    const FILE_NAME_BYTES_MAX: usize = 255;
    let suffix = format!("~{:x}", folder.0);
    if path.len() + suffix.len() > FILE_NAME_BYTES_MAX {
        let mut end = FILE_NAME_BYTES_MAX - suffix.len();
        while !path.is_char_boundary(end) {
            end -= 1;
        }
        path.truncate(end);
        path.push_str(&suffix);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_one_to_one_and_safe() {
        assert_eq!(escape("a.b/c%", true), "a%2Eb%2Fc%25");
        assert_eq!(escape("..", false), "%2E.");
        assert_eq!(escape("Entwürfe", true), "Entwürfe");
        assert_ne!(escape("a%2Eb", true), escape("a.b", true));
    }

    #[test]
    fn long_names_fit_a_file_name_and_stay_apart() {
        let long = ".%".repeat(200);
        let (one, two) = (bounded(long.clone(), FolderId(1)), bounded(long, FolderId(2)));
        assert!(one.len() <= 255 && one != two);
    }

    #[test]
    fn flags_become_letters_in_order() {
        assert_eq!(flag_letters(flag::SYSTEM), "DFRST");
        assert_eq!(flag_letters(1 << 20), "");
    }
}
