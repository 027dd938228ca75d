//! LSUB (RFC 3501 section 6.3.9).

use super::list::{Line, write};
use super::{Finish, Step, call, list_match};
use crate::imap::core::Core;
use crate::imap::mailbox_name::DELIMITER;
use crate::imap::parser::list::ListSelect;
use crate::imap::store::{MailboxInfo, Reply, Request};
use std::collections::BTreeMap;

pub(super) fn start(reference: String, pattern: String) -> Step {
    call(Request::List, move |core, reply| match reply {
        Ok(Reply::Mailboxes(mailboxes)) => {
            tell(core, mailboxes, &list_match::join(&reference, &pattern));
            Finish::ok("LSUB completed").into()
        }
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// Bounded by the store's bound on subscriptions of one account.
fn tell(core: &mut Core, mailboxes: Vec<MailboxInfo>, pattern: &str) {
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    for info in mailboxes.into_iter().filter(|info| info.subscribed) {
        if list_match::matches(pattern, &info.name) {
            found.insert(info.name, true);
            continue;
        }
        // RFC 3501 section 6.3.9: with "%" a parent that does not match as a subscription itself is told \Noselect.
        for (at, _) in info.name.match_indices(DELIMITER).filter(|_| pattern.ends_with('%')) {
            let parent = info.name.get(..at).unwrap_or_default();
            if list_match::matches(pattern, parent) {
                found.entry(parent.to_owned()).or_insert(false);
            }
        }
    }
    for (name, subscribed) in found {
        let line = Line { name, info: None, has_children: false, child_info: false };
        let attributes: &[&str] = if subscribed { &[] } else { &["\\Noselect"] };
        write(core, "LSUB", &line, attributes, ListSelect::default());
    }
}
