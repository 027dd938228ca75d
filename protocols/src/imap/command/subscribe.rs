//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8).

use super::{Finish, Step, call_done};
use crate::imap::mailbox_name::{self, DELIMITER};
use crate::imap::store::Request;

pub(super) fn start(mut name: String, subscribed: bool) -> Step {
    if name.len() > 1 && name.ends_with(DELIMITER) {
        name.pop();
    }
    if subscribed && !mailbox_name::can_be_created(&name) {
        return Finish::no("[CANNOT]", "Invalid mailbox name").into();
    }
    let text = if subscribed { "SUBSCRIBE completed" } else { "UNSUBSCRIBE completed" };
    call_done(Request::Subscribe { name, subscribed }, Finish::ok(text), Finish::refused)
}
