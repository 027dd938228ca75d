//! LSUB (RFC 3501 section 6.3.9).

use super::list::{Line, write};
use super::list_match::Pattern;
use super::{Finish, Step, call};
use crate::imap::core::Core;
use crate::imap::mailbox_name::DELIMITER;
use crate::imap::parser::list::ListSelect;
use crate::imap::store::{MailboxInfo, Reply, Request};
use std::collections::BTreeMap;

pub(super) fn start(reference: String, pattern: String) -> Step {
    call(Request::List, move |core, reply| match reply {
        Ok(Reply::Mailboxes(mailboxes)) => {
            tell(core, mailboxes, &Pattern::new(&reference, &pattern));
            Finish::ok("LSUB completed").into()
        }
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// Bounded by the store's bound on subscriptions of one account.
fn tell(core: &mut Core, mailboxes: Vec<MailboxInfo>, pattern: &Pattern) {
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    for info in mailboxes.into_iter().filter(|info| info.subscribed) {
        if pattern.matches(&info.name) {
            found.insert(info.name, true);
            continue;
        }
        // RFC 3501 section 6.3.9: with "%" a parent that does not match as a subscription itself is told \Noselect.
        for (at, _) in info.name.match_indices(DELIMITER).filter(|_| pattern.ends_in_percent()) {
            let parent = info.name.get(..at).unwrap_or_default();
            if pattern.matches(parent) {
                found.entry(parent.to_owned()).or_insert(false);
            }
        }
    }
    for (name, subscribed) in found {
        let line = Line::new(name, None, false);
        let attributes: &[&str] = if subscribed { &[] } else { &["\\Noselect"] };
        write(core, "LSUB", &line, attributes, ListSelect::default());
    }
}
