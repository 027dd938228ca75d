//! ID (RFC 2971). What clients say of themselves changes nothing, as section 4 demands.

use super::{Finish, Step};
use crate::imap::core::Core;

pub(super) fn start(core: &mut Core) -> Step {
    core.line(concat!("ID (\"name\" \"mailnode\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")"));
    Finish::ok("ID completed").into()
}
