//! CREATE (RFC 9051 section 6.3.4, RFC 6154 section 3, RFC 8474 section 4.1).

use super::{Finish, Step, call};
use crate::imap::mailbox_name::{self, DELIMITER};
use crate::imap::store::{FolderId, Reply, Request, SpecialUse};

pub(super) fn start(mut name: String, special_use: &[SpecialUse]) -> Step {
    // RFC 9051 section 6.3.4: a trailing delimiter says that children are meant to follow.
    if name.len() > 1 && name.ends_with(DELIMITER) {
        name.pop();
    }
    if !mailbox_name::can_be_created(&name) {
        return Finish::no("[CANNOT]", "Invalid mailbox name").into();
    }
    let special_use = match special_use {
        [] => None,
        [only] => Some(*only),
        // RFC 6154 section 3: a server may refuse combinations.
        _ => return Finish::no("[USEATTR]", "A mailbox has one special use at most").into(),
    };
    call(Request::Create { name, special_use }, |_, reply| match reply {
        Ok(Reply::Created { folder }) => {
            Finish::ok("CREATE completed").with_code(format!("[MAILBOXID ({})]", mailbox_id(folder))).into()
        }
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// Object identifier of a mailbox (RFC 8474 section 4): the folder's id, which it keeps for ever.
pub(super) fn mailbox_id(folder: FolderId) -> String {
    format!("F{folder:x}")
}
