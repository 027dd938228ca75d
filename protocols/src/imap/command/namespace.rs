//! NAMESPACE (RFC 2342, RFC 9051 section 6.3.10): one personal namespace.

use super::{Finish, Step};
use crate::imap::core::Core;

pub(super) fn start(core: &mut Core) -> Step {
    core.line("NAMESPACE ((\"\" \"/\")) NIL NIL");
    Finish::ok("NAMESPACE completed").into()
}
