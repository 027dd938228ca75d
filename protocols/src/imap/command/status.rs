//! STATUS (RFC 9051 section 6.3.11, RFC 8438, RFC 7162, RFC 8474).

use super::create::mailbox_id;
use super::{Finish, Step, call};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::parser::list::StatusItem;
use crate::imap::store::{MailboxStatus, Reply, Request, StatusWant, StoreError};

pub(super) fn start(core: &mut Core, name: String, items: Vec<StatusItem>) -> Step {
    note_condstore(core, &items);
    let request = Request::Status { names: vec![name.clone()], want: want(&items) };
    call(request, move |core, reply| match reply {
        Ok(Reply::Statuses(statuses)) => match statuses.into_iter().next().flatten() {
            Some(status) => {
                write(core, &name, &items, &status);
                Finish::ok("STATUS completed").into()
            }
            None => Finish::refused(StoreError::NonExistent).into(),
        },
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// RFC 7162 section 3.1: asking for HIGHESTMODSEQ enables CONDSTORE.
pub(super) fn note_condstore(core: &mut Core, items: &[StatusItem]) {
    core.features.condstore |= items.contains(&StatusItem::HighestModSeq);
}

/// What the items cost.
pub(super) fn want(items: &[StatusItem]) -> StatusWant {
    StatusWant {
        unseen: items.contains(&StatusItem::Unseen),
        deleted: items.contains(&StatusItem::Deleted),
        size: items.contains(&StatusItem::Size),
    }
}

/// ```text
/// mailbox-data = "STATUS" SP mailbox SP "(" [status-att-list] ")"
/// ```
pub(super) fn write(core: &mut Core, name: &str, items: &[StatusItem], status: &MailboxStatus) {
    let utf8 = core.utf8();
    core.write("* STATUS ");
    encode::mailbox(&mut core.out, name, utf8);
    core.write(" (");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            core.write(" ");
        }
        let (label, value) = match item {
            StatusItem::Messages => ("MESSAGES ", u64::from(status.messages)),
            StatusItem::Recent => ("RECENT ", 0),
            StatusItem::UidNext => ("UIDNEXT ", status.uidnext.into()),
            StatusItem::UidValidity => ("UIDVALIDITY ", status.uidvalidity.into()),
            StatusItem::Unseen => ("UNSEEN ", status.unseen.into()),
            StatusItem::Deleted => ("DELETED ", status.deleted.into()),
            StatusItem::Size => ("SIZE ", status.size_bytes),
            StatusItem::HighestModSeq => ("HIGHESTMODSEQ ", status.highest_modseq),
            StatusItem::MailboxId => {
                let id = mailbox_id(status.folder);
                core.write(&format!("MAILBOXID ({id})"));
                continue;
            }
        };
        core.write(label);
        core.number(value);
    }
    core.write(")\r\n");
}
