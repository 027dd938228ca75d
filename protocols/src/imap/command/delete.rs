//! DELETE (RFC 9051 section 6.3.5).

use super::{Finish, Step, call_done};
use crate::imap::mailbox_name::INBOX;
use crate::imap::store::Request;

pub(super) fn start(name: String) -> Step {
    if name == INBOX {
        return Finish::no("[CANNOT]", "INBOX cannot be deleted").into();
    }
    call_done(Request::Delete { name }, Finish::ok("DELETE completed"), Finish::refused)
}
