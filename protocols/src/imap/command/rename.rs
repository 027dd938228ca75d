//! RENAME (RFC 9051 section 6.3.6).

use super::{Finish, Step, call_done};
use crate::imap::mailbox_name::{self, DELIMITER, INBOX};
use crate::imap::store::Request;

pub(super) fn start(from: String, mut to: String) -> Step {
    if to.len() > 1 && to.ends_with(DELIMITER) {
        to.pop();
    }
    if to == INBOX {
        return Finish::no("[ALREADYEXISTS]", "Mailbox already exists").into();
    }
    if !mailbox_name::can_be_created(&to) || mailbox_name::is_below(&to, &from) && from != INBOX {
        return Finish::no("[CANNOT]", "Invalid mailbox name").into();
    }
    call_done(Request::Rename { from, to }, Finish::ok("RENAME completed"), Finish::refused)
}
