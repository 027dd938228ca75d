//! COPY (RFC 9051 section 6.4.7) and MOVE (RFC 6851).

use super::{Finish, News, Step, call};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::parser::command::Addressing;
use crate::imap::parser::sequence::SequenceSet;
use crate::imap::store::{Copied, Reply, Request, Uid};

pub(super) fn start(core: &mut Core, set: &SequenceSet, to: String, addressing: Addressing, moving: bool) -> Step {
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    if moving && snapshot.read_only {
        return Finish::no("[CANNOT]", "Mailbox is read-only").into();
    }
    let Ok(selection) = snapshot.select(set, addressing) else {
        return Finish::bad("Invalid messageset").into();
    };
    let uids = snapshot.uids(&selection);
    if uids.is_empty() {
        return Finish::ok("No messages found").into();
    }
    let folder = snapshot.folder;
    if moving {
        call(Request::Move { folder, uids, to }, |core, reply| match reply {
            Ok(Reply::Copied(copied)) => moved(core, &copied),
            Ok(_) => Finish::internal().into(),
            Err(error) => Finish::refused_target(error).into(),
        })
    } else {
        call(Request::Copy { folder, uids, to }, |_, reply| match reply {
            // The target may be the selected mailbox itself.
            Ok(Reply::Copied(copied)) => {
                Finish::ok("COPY completed").with_code(copyuid(&copied)).news(News::Ask).into()
            }
            Ok(_) => Finish::internal().into(),
            Err(error) => Finish::refused_target(error).into(),
        })
    }
}

/// RFC 6851 section 4.3: COPYUID goes ahead of the EXPUNGE responses, in an untagged OK.
fn moved(core: &mut Core, copied: &Copied) -> Step {
    let code = copyuid(copied);
    if !code.is_empty() {
        core.line(&format!("OK {code} Moved UIDs."));
    }
    Finish::ok("MOVE completed").news(News::AskWithModSeq).into()
}

/// ```text
/// resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set
/// ```
/// Both sets name the same messages in the same order (RFC 4315 section 3).
fn copyuid(copied: &Copied) -> String {
    if copied.pairs.is_empty() {
        return String::new();
    }
    let sources = runs(copied.pairs.iter().map(|pair| pair.0));
    let targets = runs(copied.pairs.iter().map(|pair| pair.1));
    format!("[COPYUID {} {sources} {targets}]", copied.uidvalidity)
}

/// A UID set in the given order, rising runs folded.
fn runs(uids: impl Iterator<Item = Uid>) -> String {
    let mut set = Vec::new();
    let mut run: Option<(Uid, Uid)> = None;
    for uid in uids.map(Some).chain([None]) {
        run = match (run, uid) {
            (Some((first, last)), Some(uid)) if last.checked_add(1) == Some(uid) => Some((first, uid)),
            (previous, uid) => {
                if let Some((first, last)) = previous {
                    if !set.is_empty() {
                        set.push(b',');
                    }
                    encode::range(&mut set, first, last);
                }
                uid.map(|uid| (uid, uid))
            }
        };
    }
    String::from_utf8_lossy(&set).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copyuid_keeps_the_order_and_folds_runs() {
        let pairs = vec![(1, 11), (2, 12), (3, 14), (5, 15), (6, 10), (7, 9)];
        assert_eq!(copyuid(&Copied { uidvalidity: 9, pairs }), "[COPYUID 9 1:3,5:7 11:12,14:15,10,9]");
        assert_eq!(copyuid(&Copied::default()), "");
    }
}
