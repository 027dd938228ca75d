//! COPY (RFC 9051 section 6.4.7) and MOVE (RFC 6851).

use super::{Finish, News, Step, call};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::parser::command::Addressing;
use crate::imap::parser::sequence::SequenceSet;
use crate::imap::store::{Copied, Reply, Request};

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
/// Both sets have the same order; RFC 4315 section 3 forbids to fold what does not fold in both.
fn copyuid(copied: &Copied) -> String {
    let Some(((mut source, mut target), rest)) = copied.pairs.split_first().map(|(first, rest)| (*first, rest)) else {
        return String::new();
    };
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    let mut length = 0;
    let mut flush = |source: u32, target: u32, length: u32| {
        for (out, start) in [(&mut sources, source), (&mut targets, target)] {
            if !out.is_empty() {
                out.push(b',');
            }
            encode::range(out, start, start + length);
        }
    };
    for &(next_source, next_target) in rest {
        if next_source == source + length + 1 && next_target == target + length + 1 {
            length += 1;
        } else {
            flush(source, target, length);
            (source, target, length) = (next_source, next_target, 0);
        }
    }
    flush(source, target, length);
    let text = |set: &[u8]| String::from_utf8_lossy(set).into_owned();
    format!("[COPYUID {} {} {}]", copied.uidvalidity, text(&sources), text(&targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copyuid_folds_only_what_runs_in_both_sets() {
        let pairs = vec![(1, 11), (2, 12), (3, 14), (5, 15), (6, 16)];
        assert_eq!(copyuid(&Copied { uidvalidity: 9, pairs }), "[COPYUID 9 1:2,3,5:6 11:12,14,15:16]");
        assert_eq!(copyuid(&Copied::default()), "");
    }
}
